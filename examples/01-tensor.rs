//! Chapter 1: a tensor is a buffer and a rule for walking over it.

use std::sync::Arc;

use tensor::{DType, Format, Layout, Ops, Result, Tensor, ops::Span};

fn main() -> Result<()> {
    let x = Tensor::arange(12, DType::F32)?.reshape(&[3, 4])?;
    println!("                    dims     strides  offset  memory");
    let show = |name: &str, t: &Tensor| -> Result<()> {
        let memory = if Arc::ptr_eq(t.buffer(), x.buffer()) { "that of x" } else { "its own" };
        let layout = t.layout();
        let [dims, strides] = [layout.dims(), layout.strides()].map(|d| format!("{d:?}"));
        println!("{name:<19} {dims:<8} {strides:<8} {:<7} {memory}", layout.offset());
        println!("    {:?}", t.to_vec::<f32>()?);
        Ok(())
    };
    show("x", &x)?;

    // Views: another rule for the same buffer. Nothing is copied.
    let turned = x.transpose(0, 1)?;
    show("x transposed", &turned)?;
    show("rows 1 and 2", &x.narrow(0, 1, 2)?)?;
    show("every other column", &x.slice(&[Span::all(3), Span { start: 0, len: 2, step: 2 }])?)?;
    show("row 0, three times", &x.narrow(0, 0, 1)?.broadcast_to(&[3, 4])?)?;

    // Twelve in a row: x is walked that way already, its transpose is not, and has to be copied.
    show("x, flat", &x.reshape(&[12])?)?;
    show("transposed, flat", &turned.reshape(&[12])?)?;

    // Images have dims N, C, H, W. Which axis is adjacent in memory is for the strides to say.
    println!("\none RGB image of 4 by 5 pixels, dims [1, 3, 4, 5]");
    for format in [Format::Contiguous, Format::ChannelsLast] {
        println!(
            "    {:<13} strides {:?}",
            format!("{format:?}"),
            Layout::dense(&[1, 3, 4, 5], format).strides()
        );
    }

    // An operation checks shapes before it runs, and its error says which rule is broken.
    println!("\nx + [1, 1, 1]: {}", x.add(&Tensor::ones(&[3], DType::F32)?).unwrap_err());
    Ok(())
}
