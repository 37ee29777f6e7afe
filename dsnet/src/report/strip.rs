//! Pictures of one sample beside each other on a page; the class under the mouse is named.

use datasets::{Classes, Image, LabelMap, resize_labels, shrink_image};

use super::{chart::escape, encode};
use crate::Result;

/// Columns of the label maps that the mouse reads.
const POINTED: usize = 256;

/// Quality of photographs.
const QUALITY: u8 = 85;

/// How a picture is stored in the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As JPEG.
    Photo,
    /// As PNG, its pixels kept sharp.
    Map,
}

/// A strip of pictures.
pub struct Strip<'a> {
    /// Names and pictures, all of one size.
    pub pictures: Vec<(String, Image, Kind)>,
    /// Names and label maps of the same shape, told where the mouse points.
    pub layers: Vec<(&'a str, &'a LabelMap)>,
    /// The labelling scheme.
    pub classes: &'a Classes,
}

/// A picture as a `data:` address.
pub fn data_address(image: &Image, kind: Kind) -> Result<String> {
    Ok(match kind {
        Kind::Photo => format!("data:image/jpeg;base64,{}", encode::base64(&image.to_jpeg(QUALITY)?)),
        Kind::Map => format!("data:image/png;base64,{}", encode::base64(&image.to_png()?)),
    })
}

/// An image at no more than `width` columns.
pub fn fit(image: &Image, width: usize) -> Result<Image> {
    let (w, h) = image.size();
    if w <= width {
        return Ok(image.clone());
    }
    Ok(shrink_image(image, width, (h * width / w).max(1))?)
}

impl Strip<'_> {
    /// The strip as HTML; `class` is added to its own.
    ///
    /// # Errors
    /// Where a picture can not be encoded.
    pub fn html(&self, class: &str) -> Result<String> {
        let (mut width, mut height) = (1, 1);
        let mut layers = Vec::new();
        for (name, map) in &self.layers {
            width = map.width().min(POINTED);
            height = (map.height() * width / map.width()).max(1);
            layers.push((name, encode::runs(&resize_labels(map, width, height)?)));
        }
        let layers = serde_json::to_string(&layers).unwrap_or_default();
        let mut out = format!(
            "<div class=\"strip {class}\" data-width=\"{width}\" data-height=\"{height}\" data-names=\"{}\" \
             data-layers=\"{}\">\n",
            escape(&self.classes.names().join("|")),
            escape(&layers)
        );
        for (name, image, kind) in &self.pictures {
            let map = if *kind == Kind::Map { " class=\"map\"" } else { "" };
            let name = escape(name);
            out.push_str(&format!(
                "<div class=\"picture\"><span>{name}</span><img{map} alt=\"{name}\" src=\"{}\"><b></b></div>\n",
                data_address(image, *kind)?
            ));
        }
        out.push_str("</div>\n");
        Ok(out)
    }
}

/// The last two parts of a sample's path, or its whole name where it is no path.
pub fn short_name(name: &str) -> String {
    let parts: Vec<&str> = name.split(std::path::is_separator).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

/// The colours of the classes, named; with a remark on each where there are some.
pub fn palette(classes: &Classes, remarks: &[String]) -> String {
    let entry = |(i, class): (usize, &datasets::Class)| {
        let [r, g, b] = class.color;
        let remark = remarks.get(i).map_or(String::new(), |text| format!(" {text}"));
        let name = escape(&format!("{}{remark}", class.name));
        format!("<li><i style=\"background:rgb({r},{g},{b})\"></i>{name}</li>\n")
    };
    format!("<ul class=\"palette\">\n{}</ul>\n", classes.iter().enumerate().map(entry).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_layers_escaped() {
        assert_eq!(short_name("/data/camvid/train/a.png"), "train/a.png");
        assert_eq!(short_name("synthetic val scene 3"), "synthetic val scene 3");
        let classes = Classes::camvid();
        let map = LabelMap::new(512, 2, vec![1; 1024]).unwrap();
        let image = Image::new(512, 2, vec![3; 3072]).unwrap();
        let strip = Strip {
            pictures: vec![("a & b".into(), image, Kind::Map)],
            layers: vec![("truth", &map)],
            classes: &classes,
        };
        let html = strip.html("x").unwrap();
        // Half the columns and rows: 256 pixels of class 1.
        let layers = "data-width=\"256\" data-height=\"1\"";
        assert!(
            html.contains(layers) && html.contains("[[&quot;truth&quot;,&quot;\u{C1}74&quot;]]"),
            "{html}"
        );
        assert!(html.contains("data-names=\"Sky|Building|") && html.contains("a &amp; b"), "{html}");
    }
}
