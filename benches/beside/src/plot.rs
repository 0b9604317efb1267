//! A plot as SVG: one bar a library. It reads well on light ground and on dark.

use std::fmt::Write;

/// What is drawn for one library.
pub(crate) struct Bar {
    name: String,
    value: i64,
}

impl Bar {
    pub(crate) fn new(title: &str, value: i64) -> Self {
        // Titles are Markdown.
        Self { name: title.replace(['*', '`'], ""), value }
    }

    fn is_ours(&self) -> bool {
        self.name.starts_with("dframework-session")
    }
}

const NAMES: i64 = 250;
const WIDTH: i64 = 760;
const ROW: i64 = 28;
const TOP: i64 = 40;

/// Bars, the shortest first.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    let mut bars: Vec<&Bar> = bars.iter().collect();
    bars.sort_by_key(|bar| bar.value);
    let most = bars.last().map_or(1, |bar| bar.value.max(1));
    let height = TOP + ROW * i64::try_from(bars.len()).unwrap_or(0) + 8;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>{title}</title>\n\
         <style>text {{ fill: #24292f }} @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} }}</style>\n\
         <text x=\"8\" y=\"24\" font-weight=\"600\">{title}</text>\n"
    );
    for (bar, row) in bars.iter().zip(0..) {
        let y = TOP + ROW * row;
        let length = (WIDTH - NAMES - 80) * bar.value.max(0) / most;
        let (color, weight) = if bar.is_ours() { ("#2f81f7", 600) } else { ("#8b949e", 400) };
        let (middle, end) = (y + 16, NAMES + length + 6);
        let (name, value) = (&bar.name, thousands(bar.value));
        // A string takes what is written into it.
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\" font-weight=\"{weight}\">{name}</text>\n\
             <rect x=\"{NAMES}\" y=\"{}\" width=\"{length}\" height=\"18\" fill=\"{color}\"/>\n\
             <text x=\"{end}\" y=\"{middle}\">{value}</text>\n",
            NAMES - 8,
            y + 3,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// With a comma between thousands.
fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && digit.is_ascii_digit() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
