//! Lines over steps: panels beside and below each other, each with a scale of its own, and one legend for all.

use super::{BLUE, GREY, escaped, head, is_ours, put, thousands};

/// What one line shows: a value at each step, where there is one.
#[derive(Clone, Debug)]
pub struct Series {
    name: String,
    values: Vec<Option<f64>>,
}

impl Series {
    /// A line, with its name in the legend.
    #[must_use]
    pub fn new(name: &str, values: Vec<Option<f64>>) -> Self {
        Self { name: escaped(name), values }
    }
}

/// Lines over the same steps.
#[derive(Clone, Debug)]
pub struct Panel {
    title: String,
    steps: Vec<String>,
    series: Vec<Series>,
}

impl Panel {
    /// Lines over steps, which stand at equal distances.
    #[must_use]
    pub fn new(title: &str, steps: Vec<String>, series: Vec<Series>) -> Self {
        Self { title: escaped(title), steps, series }
    }

    /// Where the scale ends: a round number above all values.
    fn most(&self) -> f64 {
        let values = self.series.iter().flat_map(|series| series.values.iter().flatten());
        let most = values.fold(1.0_f64, |most, value| most.max(*value));
        let power = 10_f64.powf(most.log10().floor());
        let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0];
        steps.into_iter().map(|step| step * power).find(|end| *end >= most).unwrap_or(10.0 * power)
    }
}

const WIDTH: i64 = 860;
const TOP: i64 = 64;
/// Of a panel: what stands left of its lines, above and below them, and how high they are.
const SCALE: i64 = 58;
const HEADING: i64 = 26;
const STEPS: i64 = 34;
const HEIGHT: i64 = 120;

/// Panels, so many beside each other.
#[must_use]
pub fn lines(title: &str, across: usize, panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(across);
    let mut svg = head(title, WIDTH, TOP + whole(rows) * (HEADING + HEIGHT + STEPS));
    svg.push_str(
        "<style>.grid { stroke: #8b949e; stroke-opacity: 0.3 } .small { font-size: 11px }</style>\n",
    );
    let legend = panels.first().map_or(&[][..], |panel| &panel.series);
    let mut x = 8;
    for series in legend {
        put(&mut svg, format_args!("<path d=\"M{x} 44h22\" {}/>\n", stroke(&series.name)));
        let name = &series.name;
        put(&mut svg, format_args!("<text x=\"{}\" y=\"48\">{name}</text>\n", x + 28));
        x += 60 + 7 * whole(name.len());
    }
    let width = (WIDTH - 8) / whole(across);
    for (place, panel) in panels.iter().enumerate() {
        let (left, row) = (8 + width * whole(place % across), whole(place / across));
        draw(&mut svg, panel, left, TOP + row * (HEADING + HEIGHT + STEPS), width);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, panel: &Panel, left: i64, top: i64, width: i64) {
    let (start, end) = (left + SCALE, left + width - 22);
    let below = top + HEADING + HEIGHT;
    put(svg, format_args!("<text x=\"{left}\" y=\"{}\">{}</text>\n", top + 14, panel.title));
    let most = panel.most();
    for quarter in 0..=4 {
        let y = below - HEIGHT * quarter / 4;
        let value = label(most * real(quarter) / 4.0, most);
        put(
            svg,
            format_args!(
                "<path class=\"grid\" d=\"M{start} {y}H{end}\"/>\
                 <text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{value}</text>\n",
                start - 6,
                y + 4,
            ),
        );
    }
    let last = whole(panel.steps.len().saturating_sub(1)).max(1);
    let across = |step: usize| start + 8 + (end - start - 16) * whole(step) / last;
    for (place, step) in panel.steps.iter().enumerate() {
        let (x, y) = (across(place), below + 17);
        put(
            svg,
            format_args!(
                "<text class=\"small\" x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{step}</text>\n"
            ),
        );
    }
    // Ours last, above the others.
    for series in panel.series.iter().rev() {
        let height = |value: f64| real(below) - real(HEIGHT) * value / most;
        let points = series.values.iter().enumerate();
        let points: Vec<(i64, f64)> =
            points.filter_map(|(step, value)| Some((across(step), height((*value)?)))).collect();
        put_line(svg, &series.name, &points);
    }
}

fn put_line(svg: &mut String, name: &str, points: &[(i64, f64)]) {
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x} {y:.1}")).collect();
    put(svg, format_args!("<path d=\"M{}\" {}/>\n", path.join("L"), stroke(name)));
    for (x, y) in points {
        put(
            svg,
            format_args!("<circle cx=\"{x}\" cy=\"{y:.1}\" r=\"3\" fill=\"{}\"/>\n", color(name)),
        );
    }
}

fn color(name: &str) -> &'static str {
    match name {
        name if is_ours(name) => BLUE,
        "tower-sessions" => "#d9730d",
        _ => GREY,
    }
}

fn stroke(name: &str) -> String {
    let dashes = if name.contains("without") { " stroke-dasharray=\"5 4\"" } else { "" };
    format!("fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{dashes}", color(name))
}

/// A value on a scale that ends with another one.
#[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^52")]
fn label(value: f64, most: f64) -> String {
    if most < 8.0 { format!("{value:.1}") } else { thousands(value.round() as i64) }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "it is a place in a plot")]
fn real(number: i64) -> f64 {
    number as f64
}
