//! The network (the paper's Table 2), and with the encoding head that it has in training alone.

use autograd::{Ops, Var};
use nn::{
    ConvTranspose2d, ConvTranspose2dConfig, Ctx, Encoding, EncodingConfig, Error, Init, Initializer, Module,
    Result, Visitor, Work, visit_child,
};
use tensor::Tensor;

use super::{
    DsNetConfig, Pyramid, Unit, UnitKind,
    units::{Down, InitUnit, Up},
};

/// DSNet: images `[N, 3, H, W]` to class logits `[N, classes, H, W]`, H and W multiples of 8.
#[derive(Debug, Clone)]
pub struct DsNet {
    config: DsNetConfig,
    init: InitUnit,
    down1: Down,
    stage2: Vec<Unit>,
    down2: Down,
    stage3: Vec<Unit>,
    pyramid: Option<Pyramid>,
    up4: Up,
    stage4: Unit,
    up5: Up,
    stage5: Unit,
    full: ConvTranspose2d,
}

/// Sees each unit's result, by the unit's name.
type Probe<'a> = &'a mut dyn FnMut(&str, &Var) -> Result<()>;

impl DsNet {
    /// A net of this shape with He-normal weights.
    ///
    /// # Errors
    /// Where the shape makes no net (no classes, fewer than 4 channels).
    pub fn new(config: &DsNetConfig, init: &Initializer) -> Result<Self> {
        let [a, b, c] = config.channels;
        let kind = config.unit;
        let unit = |name: &str, channels: usize, dilation: usize| {
            kind.build(channels, dilation, config.shuffle, &init.scope(name))
        };
        let units = |name: &str, channels: usize, dilations: &[usize]| -> Result<Vec<Unit>> {
            let unit = |(i, &d): (usize, &usize)| unit(&format!("{name}.{i}"), channels, d);
            dilations.iter().enumerate().map(unit).collect()
        };
        let down = |name: &str, channels: [usize; 2]| {
            let separable = kind == UnitKind::Separable;
            Down::new(channels, kind.join(config.shuffle), separable, &init.scope(name))
        };
        let full = ConvTranspose2dConfig::new(a, config.classes, 2).stride(2).bias(true);
        Ok(Self {
            init: InitUnit::new(a, config.init_pool, &init.scope("init"))?,
            down1: down("down1", [a, b])?,
            stage2: units("stage2", b, &vec![1; config.n64])?,
            down2: down("down2", [b, c])?,
            stage3: units("stage3", c, &config.dilations)?,
            pyramid: config.pyramid.then(|| Pyramid::new(c, &init.scope("pyramid"))).transpose()?,
            up4: Up::new(c, b, &init.scope("up4"))?,
            stage4: unit("stage4", b, 1)?,
            up5: Up::new(b, a, &init.scope("up5"))?,
            stage5: unit("stage5", a, 1)?,
            full: full.init(Init::HE_NORMAL).build(&init.scope("full"))?,
            config: config.clone(),
        })
    }

    /// Its shape.
    pub fn config(&self) -> &DsNetConfig {
        &self.config
    }

    /// Adds one constant to all logits of each class, from now on: `by` is `[classes]`.
    ///
    /// # Errors
    /// Where `by` has other dims, or the last layer has no bias to add it to.
    pub fn shift_logits(&self, by: &Tensor) -> Result<()> {
        let bias = self.full.bias.as_ref();
        let bias =
            bias.ok_or_else(|| Error::config("full", "has no bias that logits could be shifted by"))?;
        bias.set(bias.value().add(by)?);
        Ok(())
    }

    /// Logits, and the encoder's features (the head's input) `[N, channels[2], H/8, W/8]`.
    ///
    /// # Errors
    /// Where the images do not fit, with the path of the layer.
    pub fn run(&self, images: &Var, ctx: &Ctx) -> Result<(Var, Var)> {
        self.run_probed(images, ctx, &mut |_, _| Ok(()))
    }

    /// As [`DsNet::run`]; `probe` sees the result of each unit, in order.
    pub(crate) fn run_probed(&self, images: &Var, ctx: &Ctx, probe: Probe) -> Result<(Var, Var)> {
        let mut seen = |name: &str, x: Var| -> Result<Var> {
            probe(name, &x)?;
            Ok(x)
        };
        let images = ctx.operand(images, Work::Activation)?;
        // What the encoder has at each size, for the decoder.
        let half = seen("init", ctx.call("init", &self.init, &images)?)?;
        let (x, index1) = ctx.scope("down1", || self.down1.forward_indexed(&half, ctx))?;
        let mut x = seen("down1", x)?;
        for (i, unit) in self.stage2.iter().enumerate() {
            let name = format!("stage2.{i}");
            x = seen(&name, ctx.call(&name, unit, &x)?)?;
        }
        let quarter = x;
        let (x, index2) = ctx.scope("down2", || self.down2.forward_indexed(&quarter, ctx))?;
        let mut x = seen("down2", x)?;
        for (i, unit) in self.stage3.iter().enumerate() {
            let name = format!("stage3.{i}");
            x = seen(&name, ctx.call(&name, unit, &x)?)?;
        }
        if let Some(pyramid) = &self.pyramid {
            x = seen("pyramid", ctx.call("pyramid", pyramid, &x)?)?;
        }
        let features = x;
        let skip =
            |x: Var, from: &Var| -> Result<Var> { if self.config.skips { Ok(x.add(from)?) } else { Ok(x) } };
        let x = seen("up4", ctx.scope("up4", || self.up4.forward(&features, &index2, ctx))?)?;
        let x = seen("stage4", ctx.call("stage4", &self.stage4, &skip(x, &quarter)?)?)?;
        let x = seen("up5", ctx.scope("up5", || self.up5.forward(&x, &index1, ctx))?)?;
        let x = seen("stage5", ctx.call("stage5", &self.stage5, &skip(x, &half)?)?)?;
        let logits = seen("full", ctx.call("full", &self.full, &x)?)?;
        Ok((logits, features))
    }
}

impl Module for DsNet {
    fn forward(&self, images: &Var, ctx: &Ctx) -> Result<Var> {
        Ok(self.run(images, ctx)?.0)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visit_child(visitor, "init", &self.init);
        visit_child(visitor, "down1", &self.down1);
        visit_all(visitor, "stage2", &self.stage2);
        visit_child(visitor, "down2", &self.down2);
        visit_all(visitor, "stage3", &self.stage3);
        if let Some(pyramid) = &self.pyramid {
            visit_child(visitor, "pyramid", pyramid);
        }
        visitor.enter("up4");
        self.up4.visit(visitor);
        visitor.leave();
        visit_child(visitor, "stage4", &self.stage4);
        visitor.enter("up5");
        self.up5.visit(visitor);
        visitor.leave();
        visit_child(visitor, "stage5", &self.stage5);
        visit_child(visitor, "full", &self.full);
    }
}

fn visit_all(visitor: &mut dyn Visitor, name: &str, units: &[Unit]) {
    visitor.enter(name);
    for (i, unit) in units.iter().enumerate() {
        visit_child(visitor, &i.to_string(), unit);
    }
    visitor.leave();
}

/// DSNet as it is trained: with the semantic encoding head, where the loss wants one. Its parameters are those of the
/// net under the same names, and those of the head below `enc`.
#[derive(Debug, Clone)]
pub struct TrainableDsNet {
    /// The net.
    pub net: DsNet,
    /// From the encoder's features to "is class i in this image", `[N, classes]`.
    pub enc: Option<Encoding>,
}

impl TrainableDsNet {
    /// A net and, if `head`, the encoding head.
    ///
    /// The head sums over K codewords (Eq. 6) where EncNet takes the mean, so its logits would start K times as large as
    /// EncNet's, and its gradient in the encoder some hundred times that of the pixel loss: the net would learn
    /// nothing else. Its last layer therefore starts K times smaller than usual.
    ///
    /// # Errors
    /// As [`DsNet::new`].
    pub fn new(config: &DsNetConfig, head: bool, init: &Initializer) -> Result<Self> {
        let enc = EncodingConfig::new(config.channels[2], config.classes).codewords(config.codewords);
        let enc = head.then(|| enc.build(&init.scope("enc"))).transpose()?;
        for param in enc.iter().map(|enc| &enc.fc.weight) {
            param.set(param.value().mul_scalar(1.0 / config.codewords as f64)?);
        }
        Ok(Self { net: DsNet::new(config, init)?, enc })
    }

    /// Class logits `[N, classes, H, W]`, and the head's logits `[N, classes]` where there is one.
    ///
    /// # Errors
    /// Where the images do not fit, with the path of the layer.
    pub fn forward_train(&self, images: &Var, ctx: &Ctx) -> Result<(Var, Option<Var>)> {
        let (logits, features) = self.net.run(images, ctx)?;
        let enc = self.enc.as_ref().map(|enc| ctx.call("enc", enc, &features)).transpose()?;
        Ok((logits, enc))
    }
}

impl Module for TrainableDsNet {
    fn forward(&self, images: &Var, ctx: &Ctx) -> Result<Var> {
        self.net.forward(images, ctx)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        self.net.visit(visitor);
        if let Some(enc) = &self.enc {
            visit_child(visitor, "enc", enc);
        }
    }
}
