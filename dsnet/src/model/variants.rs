//! The ablations of the paper's Table 5: what each changes in DSNet 1.0, and what the paper reports of it.

use super::{DsNetConfig, UnitKind, config::cycle};

/// One row of Table 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// No channel shuffle.
    Nosf,
    /// Branches added instead of concatenated.
    Add,
    /// Depthwise separable convolutions.
    Dw,
    /// MobileNetV2's unit.
    Mbv2,
    /// ENet's bottleneck.
    Enet,
    /// A plain first convolution.
    Init,
    /// Pyramid pooling on the encoder.
    Psp,
    /// Encoder features added to the decoder's.
    Skip,
    /// Dilations 2, 4, 8, 16.
    Dila,
}

/// What the paper reports of a net. Accuracy on Cityscapes val after 120 epochs without pre-training; speed at 640×360 on a GTX
/// 1080Ti.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// mIoU in percent.
    pub miou: f64,
    /// Images per second.
    pub fps: f64,
    /// Millions of parameters, as printed.
    pub parameters: &'static str,
}

impl Variant {
    /// In the order of the table.
    pub const ALL: [Variant; 9] = [
        Variant::Nosf,
        Variant::Add,
        Variant::Dw,
        Variant::Mbv2,
        Variant::Enet,
        Variant::Init,
        Variant::Psp,
        Variant::Skip,
        Variant::Dila,
    ];

    /// Name of the model, for 1.0's sizes.
    pub fn model(self) -> &'static str {
        match self {
            Variant::Nosf => "dsnet-nosf",
            Variant::Add => "dsnet-add",
            Variant::Dw => "dsnet-dw",
            Variant::Mbv2 => "dsnet-mbv2",
            Variant::Enet => "dsnet-enet",
            Variant::Init => "dsnet-init",
            Variant::Psp => "dsnet-psp",
            Variant::Skip => "dsnet-skip",
            Variant::Dila => "dsnet-dila",
        }
    }

    /// What it changes, in words.
    pub fn change(self) -> &'static str {
        match self {
            Variant::Nosf => "no channel shuffle",
            Variant::Add => "branches added, twice as wide, fewer units",
            Variant::Dw => "depthwise separable 3×3, more units",
            Variant::Mbv2 => "MobileNetV2's unit, fewer units",
            Variant::Enet => "ENet's bottleneck, more units",
            Variant::Init => "plain first convolution",
            Variant::Psp => "pyramid pooling on the encoder",
            Variant::Skip => "encoder features added to the decoder",
            Variant::Dila => "dilations 2, 4, 8, 16",
        }
    }

    /// What the paper reports of it.
    pub fn published(self) -> Published {
        let (miou, fps, parameters) = match self {
            Variant::Nosf => (50.1, 110.3, "0.91"),
            Variant::Add => (60.9, 88.2, "1.15"),
            Variant::Dw => (58.0, 59.2, "0.89"),
            Variant::Mbv2 => (62.9, 64.7, "1.17"),
            Variant::Enet => (60.4, 89.8, "0.95"),
            Variant::Init => (62.5, 99.1, "0.91"),
            Variant::Psp => (63.2, 87.8, "1.22"),
            Variant::Skip => (62.8, 93.3, "0.91"),
            Variant::Dila => (62.4, 100.5, "0.91"),
        };
        Published { miou, fps, parameters }
    }

    /// Why its number of parameters is not the paper's, where it is not: how the text is read.
    pub fn reading(self) -> Option<&'static str> {
        match self {
            Variant::Dw => Some(
                "each 3×3 of Basic and Down units is a depthwise 3×3 and a 1×1, each with BN and ReLU; 8, 17 and 17 units \
                 in stages 1 to 3 go on with the cycles of dilations. The text names no other width, and at the \
                 paper's widths this is what 42 such units have",
            ),
            Variant::Mbv2 => Some(
                "every Basic unit, also those of the decoder, is MobileNetV2's (expansion 6, ReLU6, linear end); Down and \
                 Up units stay as they are",
            ),
            Variant::Enet => Some(
                "every Basic unit, also those of the decoder, is ENet's regular bottleneck (a quarter of the channels \
                 inside, PReLU, dropout), as many as in DW; Down and Up units stay as they are",
            ),
            Variant::Nosf | Variant::Add | Variant::Init | Variant::Psp | Variant::Skip | Variant::Dila => {
                None
            }
        }
    }

    /// `config` with this change.
    pub fn of(self, config: DsNetConfig) -> DsNetConfig {
        let few = DsNetConfig { n64: 2, dilations: vec![2, 5, 9, 17], ..config.clone() };
        let many = DsNetConfig {
            n64: 8,
            dilations: [cycle([1, 2, 5, 9], 17), cycle([2, 5, 9, 17], 17)].concat(),
            ..config.clone()
        };
        match self {
            Variant::Nosf => DsNetConfig { shuffle: false, ..config },
            Variant::Add => DsNetConfig { unit: UnitKind::Add, ..few },
            Variant::Dw => DsNetConfig { unit: UnitKind::Separable, ..many },
            Variant::Mbv2 => DsNetConfig { unit: UnitKind::Inverted, ..few },
            Variant::Enet => DsNetConfig { unit: UnitKind::Bottleneck, ..many },
            Variant::Init => DsNetConfig { init_pool: false, ..config },
            Variant::Psp => DsNetConfig { pyramid: true, ..config },
            Variant::Skip => DsNetConfig { skips: true, ..config },
            Variant::Dila => {
                DsNetConfig { dilations: cycle([2, 4, 8, 16], config.dilations.len()), ..config }
            }
        }
    }
}
