//! Plots as SVG. They read well on light ground and on dark.

mod bars;
mod lines;

pub use bars::{Bar, Group, bars};
pub use lines::{Panel, Series, lines};

use crate::files;
use std::{
    fmt::{Arguments, Write},
    io,
    path::Path,
};

/// Writes a plot into a folder, as `NAME.svg`. Gives the lines of Markdown that show it.
///
/// # Errors
///
/// The file cannot be written.
pub fn write(folder: &Path, name: &str, title: &str, svg: &str) -> io::Result<String> {
    let file = format!("{name}.svg");
    files::put(&folder.join(&file), svg)?;
    Ok(format!("\n![{title}]({file})\n"))
}

const BLUE: &str = "#2f81f7";
const GREY: &str = "#8b949e";

/// Whether this is the name of a row or a line of this library.
fn is_ours(name: &str) -> bool {
    name.starts_with("dframework-session")
}

/// What every plot begins with.
fn head(title: &str, width: i64, height: i64) -> String {
    let title = escaped(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>{title}</title>\n\
         <style>text {{ fill: #24292f }} @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} }}</style>\n\
         <text x=\"8\" y=\"24\" font-weight=\"600\">{title}</text>\n"
    )
}

/// A title as it can stand in SVG. Titles are Markdown.
fn escaped(title: &str) -> String {
    title.replace(['*', '`'], "").replace('&', "&amp;").replace('<', "&lt;")
}

/// With a comma between thousands.
fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && text != "-" {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As short as a scale wants it: `100`, `65 k`, `10 M`.
#[must_use]
pub fn short(number: usize) -> String {
    match number {
        1_000_000.. => format!("{} M", number / 1_000_000),
        1_000.. => format!("{} k", number / 1_000),
        _ => number.to_string(),
    }
}

/// A string takes what is written into it.
fn put(svg: &mut String, text: Arguments<'_>) {
    let _ = svg.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_stands_between_thousands() {
        let written = [0, 999, 1_000, 1_234_567, -999, -1_000].map(thousands);
        assert_eq!(written, ["0", "999", "1,000", "1,234,567", "-999", "-1,000"]);
    }

    #[test]
    fn a_step_is_short() {
        assert_eq!([100, 65_000, 10_000_000].map(short), ["100", "65 k", "10 M"]);
    }
}
