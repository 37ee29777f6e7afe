//! The official Cityscapes label table: which label id is which class, which of them are trained on (train id
//! 0 to 18) and which are left out of training and scoring (train id 255).

/// One row of the Cityscapes label table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Name, as in the dataset.
    pub name: &'static str,
    /// Label id, the value in `*_labelIds.png`; -1 (licence plate) never occurs in a picture.
    pub id: i16,
    /// Train id, the value in `*_labelTrainIds.png`; 255 is ignored, -1 never occurs in a picture.
    pub train_id: i16,
    /// Category name.
    pub category: &'static str,
    /// Category number; 0 is void.
    pub category_id: u8,
    /// Whether instances are told apart in the instance maps.
    pub has_instances: bool,
    /// Whether scoring leaves this label out.
    pub ignore_in_eval: bool,
    /// Colour in the dataset's palette.
    pub color: [u8; 3],
}

#[rustfmt::skip]
const fn row(
    name: &'static str, id: i16, train_id: i16, category: &'static str, category_id: u8,
    has_instances: bool, ignore_in_eval: bool, color: [u8; 3],
) -> Label {
    Label { name, id, train_id, category, category_id, has_instances, ignore_in_eval, color }
}

/// All 35 labels in official order.
#[rustfmt::skip]
pub const CITYSCAPES_LABELS: [Label; 35] = [
    row("unlabeled", 0, 255, "void", 0, false, true, [0, 0, 0]),
    row("ego vehicle", 1, 255, "void", 0, false, true, [0, 0, 0]),
    row("rectification border", 2, 255, "void", 0, false, true, [0, 0, 0]),
    row("out of roi", 3, 255, "void", 0, false, true, [0, 0, 0]),
    row("static", 4, 255, "void", 0, false, true, [0, 0, 0]),
    row("dynamic", 5, 255, "void", 0, false, true, [111, 74, 0]),
    row("ground", 6, 255, "void", 0, false, true, [81, 0, 81]),
    row("road", 7, 0, "flat", 1, false, false, [128, 64, 128]),
    row("sidewalk", 8, 1, "flat", 1, false, false, [244, 35, 232]),
    row("parking", 9, 255, "flat", 1, false, true, [250, 170, 160]),
    row("rail track", 10, 255, "flat", 1, false, true, [230, 150, 140]),
    row("building", 11, 2, "construction", 2, false, false, [70, 70, 70]),
    row("wall", 12, 3, "construction", 2, false, false, [102, 102, 156]),
    row("fence", 13, 4, "construction", 2, false, false, [190, 153, 153]),
    row("guard rail", 14, 255, "construction", 2, false, true, [180, 165, 180]),
    row("bridge", 15, 255, "construction", 2, false, true, [150, 100, 100]),
    row("tunnel", 16, 255, "construction", 2, false, true, [150, 120, 90]),
    row("pole", 17, 5, "object", 3, false, false, [153, 153, 153]),
    row("polegroup", 18, 255, "object", 3, false, true, [153, 153, 153]),
    row("traffic light", 19, 6, "object", 3, false, false, [250, 170, 30]),
    row("traffic sign", 20, 7, "object", 3, false, false, [220, 220, 0]),
    row("vegetation", 21, 8, "nature", 4, false, false, [107, 142, 35]),
    row("terrain", 22, 9, "nature", 4, false, false, [152, 251, 152]),
    row("sky", 23, 10, "sky", 5, false, false, [70, 130, 180]),
    row("person", 24, 11, "human", 6, true, false, [220, 20, 60]),
    row("rider", 25, 12, "human", 6, true, false, [255, 0, 0]),
    row("car", 26, 13, "vehicle", 7, true, false, [0, 0, 142]),
    row("truck", 27, 14, "vehicle", 7, true, false, [0, 0, 70]),
    row("bus", 28, 15, "vehicle", 7, true, false, [0, 60, 100]),
    row("caravan", 29, 255, "vehicle", 7, true, true, [0, 0, 90]),
    row("trailer", 30, 255, "vehicle", 7, true, true, [0, 0, 110]),
    row("train", 31, 16, "vehicle", 7, true, false, [0, 80, 100]),
    row("motorcycle", 32, 17, "vehicle", 7, true, false, [0, 0, 230]),
    row("bicycle", 33, 18, "vehicle", 7, true, false, [119, 11, 32]),
    row("license plate", -1, -1, "vehicle", 7, false, true, [0, 0, 142]),
];

/// Train id of every possible pixel value of a `*_labelIds.png`, `None` where the table has no such id.
pub(crate) fn train_id_of_label_id() -> [Option<u8>; 256] {
    let mut table = [None; 256];
    for label in CITYSCAPES_LABELS.iter().filter(|l| l.id >= 0) {
        table[label.id as usize] = Some(label.train_id as u8);
    }
    table
}

/// Train id of every possible pixel value of a `*_labelTrainIds.png`: 0 to 18, and 255 for ignored.
pub(crate) fn train_id_of_train_id() -> [Option<u8>; 256] {
    let mut table = [None; 256];
    for id in (0..19).chain([255]) {
        table[id as usize] = Some(id);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_labels_are_trained_each_once() {
        let mut seen: Vec<i16> =
            CITYSCAPES_LABELS.iter().map(|l| l.train_id).filter(|t| (0..19).contains(t)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..19).collect::<Vec<_>>());
        assert!(CITYSCAPES_LABELS.iter().all(|l| (l.train_id < 0 || l.train_id == 255) == l.ignore_in_eval));
    }

    #[test]
    fn mapping_knows_exactly_the_official_ids() {
        let table = train_id_of_label_id();
        assert_eq!(table.iter().flatten().count(), 34);
        assert_eq!(table[7], Some(0));
        assert_eq!(table[33], Some(18));
        assert_eq!(table[0], Some(255));
        assert_eq!(table[34], None);
        assert_eq!(table[255], None);
        assert_eq!(train_id_of_train_id().iter().flatten().count(), 20);
    }
}
