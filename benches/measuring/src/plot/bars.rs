//! Bars: one for each row, in groups with a heading.

use super::{BLUE, GREY, escaped, head, is_ours, put, thousands};

/// What is drawn for one library.
#[derive(Clone, Debug)]
pub struct Bar {
    name: String,
    value: i64,
}

impl Bar {
    /// A bar with its name in front and its value behind it.
    #[must_use]
    pub fn new(name: &str, value: i64) -> Self {
        Self { name: escaped(name), value }
    }
}

/// Bars that are compared with each other.
#[derive(Clone, Debug)]
pub struct Group {
    title: String,
    bars: Vec<Bar>,
}

impl Group {
    /// Bars under a heading, or without one where it is empty.
    #[must_use]
    pub fn new(title: &str, bars: Vec<Bar>) -> Self {
        Self { title: escaped(title), bars }
    }
}

const NAMES: i64 = 250;
const WIDTH: i64 = 760;
const ROW: i64 = 28;
const HEADING: i64 = 30;
const TOP: i64 = 40;

/// All groups on one scale; in each, the shortest bar first.
#[must_use]
pub fn bars(title: &str, groups: &[Group]) -> String {
    let all = || groups.iter().flat_map(|group| &group.bars);
    let most = all().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let (mut rows, mut y) = (String::new(), TOP);
    for group in groups {
        if !group.title.is_empty() {
            put(&mut rows, format_args!("<text x=\"8\" y=\"{}\">{}</text>\n", y + 20, group.title));
            y += HEADING;
        }
        let mut bars: Vec<&Bar> = group.bars.iter().collect();
        bars.sort_by_key(|bar| bar.value);
        for bar in bars {
            draw(&mut rows, bar, y, most);
            y += ROW;
        }
    }
    format!("{}{rows}</svg>\n", head(title, WIDTH, y + 8))
}

fn draw(rows: &mut String, bar: &Bar, y: i64, most: i64) {
    let length = (WIDTH - NAMES - 80) * bar.value.max(0) / most;
    let (color, weight) = if is_ours(&bar.name) { (BLUE, 600) } else { (GREY, 400) };
    let (middle, end) = (y + 16, NAMES + length + 6);
    let (name, value) = (&bar.name, thousands(bar.value));
    put(
        rows,
        format_args!(
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\" font-weight=\"{weight}\">{name}</text>\n\
             <rect x=\"{NAMES}\" y=\"{}\" width=\"{length}\" height=\"18\" fill=\"{color}\"/>\n\
             <text x=\"{end}\" y=\"{middle}\">{value}</text>\n",
            NAMES - 8,
            y + 3,
        ),
    );
}
