//! Line plots as SVG.

use anyhow::Result;
use plotters::prelude::*;

use crate::format::number;

/// Colors that can be distinguished with any color vision (Okabe and Ito).
const COLORS: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x66, 0x66, 0x66),
    BLACK,
];

/// A plot with two logarithmic axes.
pub(crate) struct Plot {
    /// The file name, without its extension.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    /// The lines with their names; all coordinates are positive.
    pub(crate) lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Plot {
    /// The content of the SVG file.
    pub(crate) fn to_svg(&self) -> Result<String> {
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, (720, 420)).into_drawing_area();
        root.fill(&WHITE)?;
        let (left, right) = root.split_horizontally(570);
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let mut chart = ChartBuilder::on(&left)
            .caption(self.title, ("sans-serif", 16))
            .margin(10)
            .x_label_area_size(45)
            .y_label_area_size(60)
            .build_cartesian_2d(
                decades(points().map(|point| point.0)).log_scale(),
                decades(points().map(|point| point.1)).log_scale(),
            )?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&label)
            .y_label_formatter(&label)
            .label_style(("sans-serif", 12))
            .light_line_style(TRANSPARENT)
            .draw()?;

        let mut lines: Vec<_> = self.lines.iter().zip(COLORS.iter().cycle()).collect();
        for ((_, points), color) in &lines {
            let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
            chart.draw_series(line.point_size(3))?;
        }
        // The legend has the order of the lines' ends.
        lines.sort_by(|((_, one), _), ((_, other), _)| {
            let end = |points: &[(f64, f64)]| points.last().map_or(0.0, |point| point.1);
            end(other).total_cmp(&end(one))
        });
        for (row, ((name, _), color)) in (1..).zip(lines) {
            let y = 30 + 18 * row;
            right.draw(&Circle::new((8, y), 4, color.filled()))?;
            right.draw(&Text::new(name.as_str(), (18, y - 6), ("sans-serif", 13)))?;
        }
        root.present()?;
        drop((root, left, right, chart));
        Ok(svg)
    }
}

/// The label of a power of ten.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as plotters calls it")]
fn label(value: &f64) -> String {
    if *value < 100.0 {
        value.to_string()
    } else {
        number(*value)
    }
}

/// The range from one power of ten to another that contains all values.
fn decades(values: impl Iterator<Item = f64> + Clone) -> std::ops::Range<f64> {
    let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
    let high = values.fold(0.0, f64::max).log10().ceil();
    10f64.powf(low)..10f64.powf(high.max(low + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_every_point_and_name() {
        let plot = Plot {
            name: "p",
            title: "a < b",
            x: "users",
            y: "ms",
            lines: vec![("one".to_owned(), vec![(1000.0, 0.2), (1_000_002.0, 7.0)])],
        };
        let svg = plot.to_svg().unwrap();
        assert!(svg.contains("a &lt; b") && svg.contains("one"), "{svg}");
        // Two points and the legend's.
        assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
    }

    #[test]
    fn axes_end_at_powers_of_ten() {
        assert_eq!(decades([0.2, 7.0].into_iter()), 0.1..10.0);
        assert_eq!(decades([10.0].into_iter()), 10.0..100.0);
    }
}
