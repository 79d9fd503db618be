//! Lines on paper, as SVG.

use std::fmt::Write as _;

use crate::goals::number;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// Left, right, top, bottom.
const MARGINS: [f64; 4] = [70.0, 170.0, 40.0, 50.0];
/// Colours that can be told apart with any eyes (Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666", "#000000",
];

/// A plot with both axes logarithmic.
pub(crate) struct Plot {
    /// The name of the file, without its end.
    pub(crate) name: &'static str,
    /// The heading.
    pub(crate) title: &'static str,
    /// What is to the right.
    pub(crate) x: &'static str,
    /// What is upwards.
    pub(crate) y: &'static str,
    /// The lines, with their names; all numbers are positive.
    pub(crate) lines: Vec<(String, Vec<(f64, f64)>)>,
}

struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis from one power of ten to another around the values.
    fn around(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values.fold(0.0, f64::max).log10().ceil();
        Self {
            low,
            high: high.max(low + 1.0),
            from,
            to,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    fn marks(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|power| 10f64.powi(power))
    }
}

impl Plot {
    /// The plot as a file.
    pub(crate) fn to_svg(&self) -> String {
        let [left, right, top, bottom] = MARGINS;
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let xs = Axis::around(points().map(|point| point.0), left, WIDTH - right);
        let ys = Axis::around(points().map(|point| point.1), HEIGHT - bottom, top);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
             <text x=\"{left}\" y=\"22\" font-size=\"15\">{}</text>\n",
            escaped(self.title)
        );
        for value in xs.marks() {
            let x = xs.place(value);
            let (y1, y2) = (top, HEIGHT - bottom);
            line(&mut out, (x, y1), (x, y2));
            text(&mut out, (x, y2 + 18.0), "middle", &mark(value));
        }
        for value in ys.marks() {
            let y = ys.place(value);
            line(&mut out, (left, y), (WIDTH - right, y));
            text(&mut out, (left - 8.0, y + 4.0), "end", &mark(value));
        }
        let middle = left.midpoint(WIDTH - right);
        text(&mut out, (middle, HEIGHT - 12.0), "middle", self.x);
        let _ = writeln!(
            out,
            "<text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            top.midpoint(HEIGHT - bottom),
            escaped(self.y)
        );
        for ((name, points), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let place = |&(x, y): &(f64, f64)| format!("{:.1},{:.1}", xs.place(x), ys.place(y));
            let path: Vec<String> = points.iter().map(place).collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join(" ")
            );
            for &(x, y) in points {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\">\
                     <title>{}: {} at {}</title></circle>",
                    xs.place(x),
                    ys.place(y),
                    escaped(name),
                    number(y),
                    number(x)
                );
            }
        }
        self.write_names(&ys, &mut out);
        out.push_str("</svg>\n");
        out
    }

    /// Writes the names beside the ends of their lines, but not over one another.
    fn write_names(&self, ys: &Axis, out: &mut String) {
        const APART: f64 = 15.0;
        let mut names: Vec<(f64, &str, &str)> = self
            .lines
            .iter()
            .zip(COLOURS.iter().cycle())
            .filter_map(|((name, points), colour)| {
                Some((ys.place(points.last()?.1), name.as_str(), *colour))
            })
            .collect();
        names.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut next = f64::NEG_INFINITY;
        for (y, name, colour) in names {
            let y = y.max(next);
            next = y + APART;
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                WIDTH - MARGINS[1] + 10.0,
                y + 4.0,
                escaped(name)
            );
        }
    }
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(out: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
        at.0,
        at.1,
        escaped(text)
    );
}

/// A power of ten, without digits that say nothing.
fn mark(value: f64) -> String {
    if value < 1.0 {
        format!("{value}")
    } else {
        match value {
            ..1e3 => format!("{value:.0}"),
            ..1e6 => format!("{:.0} k", value / 1e3),
            _ => format!("{:.0} M", value / 1e6),
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_on_the_paper() {
        let plot = Plot {
            name: "p",
            title: "a < b",
            x: "people",
            y: "ms",
            lines: vec![("one".to_owned(), vec![(1000.0, 0.2), (1_000_002.0, 7.0)])],
        };
        let svg = plot.to_svg();
        assert!(svg.contains("a &lt; b") && svg.contains(">10 M<") && svg.contains(">0.1<"));
        let places: Vec<f64> = svg
            .split("cx=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(places.len(), 2);
        assert!(
            places.iter().all(|x| (70.0..=550.0).contains(x)),
            "{places:?}"
        );
    }
}
