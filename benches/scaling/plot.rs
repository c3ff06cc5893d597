//! Plots as SVG: opaque and light, so that they are read on light and dark pages alike.

use std::path::Path;

use plotters::{
    chart::{ChartBuilder, ChartContext},
    coord::{
        Shift,
        cartesian::Cartesian2d,
        combinators::BindKeyPoints as _,
        ranged1d::{Ranged, ValueFormatter},
    },
    prelude::{
        Circle, DrawingArea, DrawingBackend, IntoDrawingArea as _, IntoLogRange as _, LineSeries,
        PathElement, RGBColor, SVGBackend, SeriesLabelPosition,
    },
    style::{BLACK, Color as _, WHITE},
};

const SIZE: (u32, u32) = (760, 400);
/// Told apart also without their hue.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 90, 181), RGBColor(220, 90, 0), RGBColor(0, 130, 90), RGBColor(120, 50, 140)];

/// What is drawn.
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) x: Axis,
    /// Name and unit of what is measured; the axis begins at nothing.
    pub(crate) y: String,
    /// Each with its name.
    pub(crate) series: Vec<(String, Vec<(f64, f64)>)>,
}

/// The horizontal axis.
pub(crate) struct Axis {
    /// Name and unit.
    pub(crate) name: String,
    pub(crate) logarithmic: bool,
}

impl Plot {
    /// Draws it into this file.
    pub(crate) fn draw(&self, file: &Path) {
        let area = SVGBackend::new(file, SIZE).into_drawing_area();
        self.draw_on(&area).expect("a plot with points can be drawn, and its file written");
    }

    fn draw_on<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        B::ErrorType: 'static,
    {
        area.fill(&WHITE)?;
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let least = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
        let most = points().map(|(x, _)| *x).fold(least, f64::max);
        let height = points().map(|(_, y)| *y).fold(0.0, f64::max) * 1.15;
        let mut chart = ChartBuilder::on(area);
        chart.caption(&self.title, ("sans-serif", 18)).margin(12);
        chart.x_label_area_size(44).y_label_area_size(64);
        if self.x.logarithmic {
            let keys = self.series.iter().flat_map(|(_, points)| points.iter().map(|(x, _)| *x)).collect();
            let range = (least * 0.8..most * 1.25).log_scale().with_key_points(keys);
            self.fill(chart.build_cartesian_2d(range, 0.0..height)?)?;
        } else {
            self.fill(chart.build_cartesian_2d(0.0..most * 1.03, 0.0..height)?)?;
        }
        area.present()?;
        Ok(())
    }

    fn fill<'b, B, X, Y>(
        &self,
        mut chart: ChartContext<'b, B, Cartesian2d<X, Y>>,
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        B: DrawingBackend + 'b,
        B::ErrorType: 'static,
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let number = |value: &f64| {
            if *value < 10.0 && value.fract() != 0.0 { format!("{value:.1}") } else { format!("{value:.0}") }
        };
        chart
            .configure_mesh()
            .x_desc(&self.x.name)
            .y_desc(&self.y)
            .x_label_formatter(&number)
            .y_label_formatter(&number)
            .label_style(("sans-serif", 13))
            .max_light_lines(1)
            .draw()?;
        for ((name, points), colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            let drawn = chart.draw_series(line)?;
            if self.series.len() > 1 {
                let colour = *colour;
                drawn
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
            }
            if points.len() <= 40 {
                chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
            }
        }
        if self.series.len() > 1 {
            let mut legend = chart.configure_series_labels();
            legend.position(SeriesLabelPosition::LowerRight).label_font(("sans-serif", 13));
            legend.background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.3)).draw()?;
        }
        Ok(())
    }
}
