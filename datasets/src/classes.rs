//! A labelling scheme: which classes there are, how they are called, drawn, grouped and stored.
//!
//! Everything downstream (losses, scores, pictures, file export) asks a [`Classes`] value and so works for
//! any dataset; train ids are positions in it.

use crate::cityscapes_labels::CITYSCAPES_LABELS;

/// The value of label pixels that belong to no class: left out of losses, statistics and scores.
pub const IGNORE: u8 = 255;

/// One class of a labelling scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Name for people.
    pub name: &'static str,
    /// Colour in the dataset's palette.
    pub color: [u8; 3],
    /// Position in [`Classes::categories`].
    pub category: usize,
    /// The value that stands for this class in label files of the dataset.
    pub label_id: u8,
}

/// The classes of a dataset, in train id order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    scheme: &'static str,
    classes: Vec<Class>,
    categories: Vec<&'static str>,
    ignore_color: [u8; 3],
    ignore_label_id: u8,
}

impl Classes {
    /// The 19 trained classes of Cityscapes in train id order, with its 7 categories.
    pub fn cityscapes() -> Classes {
        // Category 0 of the table is void, which no trained label has.
        let categories = vec!["flat", "construction", "object", "nature", "sky", "human", "vehicle"];
        let classes = CITYSCAPES_LABELS
            .iter()
            .filter(|l| (0..19).contains(&l.train_id))
            .map(|l| Class {
                name: l.name,
                color: l.color,
                category: l.category_id as usize - 1,
                label_id: l.id as u8,
            })
            .collect();
        Classes { scheme: "cityscapes", classes, categories, ignore_color: [0, 0, 0], ignore_label_id: 0 }
    }

    /// The 11 classes of CamVid in the order and palette of the SegNet layout; 11 in a file is void.
    pub fn camvid() -> Classes {
        let categories = vec!["sky", "construction", "object", "flat", "nature", "vehicle", "human"];
        let rows: [(&'static str, [u8; 3], usize); 11] = [
            ("Sky", [128, 128, 128], 0),
            ("Building", [128, 0, 0], 1),
            ("Pole", [192, 192, 128], 2),
            ("Road", [128, 64, 128], 3),
            ("Pavement", [60, 40, 222], 3),
            ("Tree", [128, 128, 0], 4),
            ("SignSymbol", [192, 128, 128], 2),
            ("Fence", [64, 64, 128], 1),
            ("Car", [64, 0, 128], 5),
            ("Pedestrian", [64, 64, 0], 6),
            ("Bicyclist", [0, 128, 192], 6),
        ];
        let classes = rows
            .iter()
            .enumerate()
            .map(|(id, &(name, color, category))| Class { name, color, category, label_id: id as u8 })
            .collect();
        Classes { scheme: "camvid", classes, categories, ignore_color: [0, 0, 0], ignore_label_id: 11 }
    }

    /// Name of the scheme: "cityscapes" or "camvid".
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// How many classes there are, void not counted.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are no classes at all (never so for the built-in schemes).
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// The class with this train id.
    pub fn get(&self, train_id: usize) -> Option<&Class> {
        self.classes.get(train_id)
    }

    /// The classes in train id order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Class> {
        self.classes.iter()
    }

    /// Class names in train id order.
    pub fn names(&self) -> Vec<&'static str> {
        self.classes.iter().map(|c| c.name).collect()
    }

    /// Train id of the class called `name`, upper and lower case alike.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.classes.iter().position(|c| c.name.eq_ignore_ascii_case(name))
    }

    /// Category names; every class belongs to one of them.
    pub fn categories(&self) -> &[&'static str] {
        &self.categories
    }

    /// Category of each class, in train id order.
    pub fn category_of(&self) -> Vec<usize> {
        self.classes.iter().map(|c| c.category).collect()
    }

    /// Palette colour of a train id; anything that is no class gets the colour of void.
    pub fn color(&self, train_id: u8) -> [u8; 3] {
        self.classes.get(train_id as usize).map_or(self.ignore_color, |c| c.color)
    }

    /// The value that stands for a train id in the dataset's own label files; void for anything that is no
    /// class (0 in Cityscapes, 11 in CamVid).
    pub fn label_id(&self, train_id: u8) -> u8 {
        self.classes.get(train_id as usize).map_or(self.ignore_label_id, |c| c.label_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cityscapes_has_the_official_order() {
        let c = Classes::cityscapes();
        assert_eq!(c.len(), 19);
        let names = [
            "road",
            "sidewalk",
            "building",
            "wall",
            "fence",
            "pole",
            "traffic light",
            "traffic sign",
            "vegetation",
            "terrain",
            "sky",
            "person",
            "rider",
            "car",
            "truck",
            "bus",
            "train",
            "motorcycle",
            "bicycle",
        ];
        assert_eq!(c.names(), names);
        assert_eq!(c.categories().len(), 7);
        assert_eq!(c.categories()[c.get(18).unwrap().category], "vehicle");
        assert_eq!(c.categories()[c.get(12).unwrap().category], "human");
        assert_eq!((c.label_id(0), c.label_id(18), c.label_id(IGNORE)), (7, 33, 0));
    }

    #[test]
    fn every_class_has_its_own_colour_and_a_category_that_exists() {
        for c in [Classes::cityscapes(), Classes::camvid()] {
            for (i, a) in c.iter().enumerate() {
                assert!(a.category < c.categories().len());
                assert!(c.iter().skip(i + 1).all(|b| b.color != a.color), "{}", a.name);
            }
            for k in 0..c.categories().len() {
                assert!(c.category_of().contains(&k));
            }
            assert_eq!(c.color(200), [0, 0, 0]);
        }
    }

    #[test]
    fn camvid_void_is_eleven() {
        let c = Classes::camvid();
        assert_eq!((c.len(), c.find("car"), c.label_id(IGNORE)), (11, Some(8), 11));
    }
}
