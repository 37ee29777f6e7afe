//! Modules, and the one visit from which everything that walks over parameters is made: state dicts, optimiser
//! groups, summaries.

use std::collections::HashSet;

use autograd::Var;
use tensor::{Device, Tensor};

use crate::{Buffer, Ctx, Param, Result};

/// A function with named parameters.
///
/// A parent runs its children through [`Ctx::call`] (or [`Ctx::scope`]) under the names that its
/// [`Module::visit`] gives them, so that an error's path and a parameter's name agree.
pub trait Module: Send + Sync {
    /// Applies the module.
    ///
    /// # Errors
    /// Shapes that do not fit, with the path of the layer.
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var>;

    /// Shows its parameters, buffers and child modules, always in the same order.
    fn visit(&self, visitor: &mut dyn Visitor);
}

/// Receives what [`Module::visit`] shows.
pub trait Visitor {
    /// A parameter of the module at hand.
    fn param(&mut self, name: &str, param: &Param);

    /// A buffer of the module at hand.
    fn buffer(&mut self, name: &str, buffer: &Buffer);

    /// What comes until the matching [`Visitor::leave`] belongs to the child `name`.
    fn enter(&mut self, name: &str);

    /// Back to the parent.
    fn leave(&mut self);
}

/// Shows a child module under `name`.
pub fn visit_child(visitor: &mut dyn Visitor, name: &str, child: &dyn Module) {
    visitor.enter(name);
    child.visit(visitor);
    visitor.leave();
}

/// A parameter or a buffer.
#[derive(Debug, Clone)]
pub enum Slot {
    /// Trained by an optimiser.
    Param(Param),
    /// Updated by its layer.
    Buffer(Buffer),
}

/// A parameter or buffer with its full name, as `down1.right.0.conv.weight`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Dot-separated path and name.
    pub name: String,
    /// What it is.
    pub slot: Slot,
}

/// Lists everything a module shows, with full names.
#[derive(Debug, Default)]
pub struct Collect {
    path: Vec<String>,
    /// In the order of the visit.
    pub entries: Vec<Entry>,
}

impl Collect {
    /// Everything that `module` shows.
    pub fn of(module: &dyn Module) -> Vec<Entry> {
        let mut collect = Self::default();
        module.visit(&mut collect);
        collect.entries
    }

    fn push(&mut self, name: &str, slot: Slot) {
        let name = self.path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
        self.entries.push(Entry { name, slot });
    }
}

impl Visitor for Collect {
    fn param(&mut self, name: &str, param: &Param) {
        self.push(name, Slot::Param(param.clone()));
    }

    fn buffer(&mut self, name: &str, buffer: &Buffer) {
        self.push(name, Slot::Buffer(buffer.clone()));
    }

    fn enter(&mut self, name: &str) {
        self.path.push(name.into());
    }

    fn leave(&mut self) {
        self.path.pop();
    }
}

/// The parameters of `module` with their names, in the order of the visit. One that is shared by several modules
/// comes once, under its first name: an optimiser must not apply its gradient twice.
pub fn parameters(module: &dyn Module) -> Vec<(String, Param)> {
    let mut seen = HashSet::new();
    let entries = Collect::of(module).into_iter();
    entries
        .filter_map(|e| match e.slot {
            Slot::Param(p) if seen.insert(p.id()) => Some((e.name, p)),
            Slot::Param(_) | Slot::Buffer(_) => None,
        })
        .collect()
}

/// The buffers of `module` with their names, in the order of the visit.
pub fn buffers(module: &dyn Module) -> Vec<(String, Buffer)> {
    let entries = Collect::of(module).into_iter();
    entries.filter_map(|e| if let Slot::Buffer(b) = e.slot { Some((e.name, b)) } else { None }).collect()
}

/// Number of trainable values.
pub fn parameter_count(module: &dyn Module) -> usize {
    parameters(module).iter().map(|(_, p)| p.value().len()).sum()
}

/// The device where a module's parameters are; the CPU where it has none.
pub fn device(module: &dyn Module) -> Device {
    parameters(module).first().map_or_else(tensor::cpu::device, |(_, p)| Tensor::device(&p.value()))
}

/// Moves all parameters and buffers to `device`.
///
/// # Errors
/// Where a device fails or its memory is full.
pub fn to_device(module: &dyn Module, device: &Device) -> Result<()> {
    for entry in Collect::of(module) {
        let moved = tensor::scope::within(&entry.name.as_str().into(), || entry.value().to_device(device))?;
        entry.set(moved);
    }
    Ok(())
}
