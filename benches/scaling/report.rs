//! What was measured, as parts of `benches/README.md`.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::plot::Plot;

/// One measurement.
pub(crate) struct Part {
    pub(crate) goals: Vec<Goal>,
    /// Sentences that stand above the table.
    pub(crate) notes: Vec<String>,
    pub(crate) table: Table,
    pub(crate) plot: Option<Plot>,
}

/// What should be, and what is.
pub(crate) struct Goal {
    text: String,
    measured: f64,
    limit: f64,
    unit: &'static str,
}

impl Goal {
    pub(crate) fn at_most(text: &str, measured: f64, limit: f64, unit: &'static str) -> Self {
        Self { text: text.to_owned(), measured, limit, unit }
    }

    pub(crate) fn is_met(&self) -> bool {
        self.measured <= self.limit
    }

    fn row(&self) -> Vec<String> {
        let Self { text, measured, limit, unit } = self;
        let verdict = if self.is_met() {
            "met".to_owned()
        } else if *limit <= 0.0 {
            "missed".to_owned()
        } else {
            format!("missed: {:.1} times the goal", measured / limit)
        };
        let with_unit = |number: String| format!("{number} {unit}").trim_end().to_owned();
        vec![text.clone(), with_unit(limit.to_string()), with_unit(format!("{measured:.2}")), verdict]
    }
}

/// A table of texts.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { head: head.iter().map(|&text| text.to_owned()).collect(), rows }
    }

    /// Numbers stand to the right.
    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = vec!["---:".to_owned(); self.head.len()];
        self.rows.iter().fold(line(&self.head) + &line(&rule), |text, row| text + &line(row))
    }
}

/// The document.
pub(crate) struct Report {
    folder: PathBuf,
}

impl Report {
    /// The one of this folder.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Writes this part in place of what stands between its markers, and tells it.
    pub(crate) fn write(&self, name: &str, part: &Part) {
        let mut text = String::new();
        if !part.goals.is_empty() {
            let rows = part.goals.iter().map(Goal::row).collect();
            text.push_str(&Table::new(&["goal", "at most", "measured", ""], rows).markdown());
            text.push('\n');
        }
        for note in &part.notes {
            writeln!(text, "{note}\n").expect("a String takes any text");
        }
        text.push_str(&part.table.markdown());
        println!("{name}\n\n{text}");
        if let Some(plot) = &part.plot {
            let file = format!("scaling/{name}.svg");
            plot.draw(&self.folder.join(&file));
            writeln!(text, "\n![{}]({file})", plot.title).expect("a String takes any text");
        }
        writeln!(text, "\nMeasured on {}.", machine()).expect("a String takes any text");
        let path = self.folder.join("README.md");
        let document = fs::read_to_string(&path).expect("benches/README.md can be read");
        let [begin, end] = [format!("<!-- scaling: {name} -->\n"), format!("<!-- end of {name} -->\n")];
        let (before, rest) = document.split_once(&begin).expect("the document has the part's marker");
        let (_, after) = rest.split_once(&end).expect("the document has the marker of the part's end");
        fs::write(&path, format!("{before}{begin}\n{text}\n{end}{after}"))
            .expect("benches/README.md can be written");
    }
}

/// What the figures hold for.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let of_cpu = |key: &str| {
        let line = cpu.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown processor").to_owned()
    };
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let release: Vec<&str> = kernel.trim().split(['.', '-']).take(2).collect();
    format!("{cores} cores of a virtual machine ({}), Linux {}", of_cpu("model name"), release.join("."))
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
