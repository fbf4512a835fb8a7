//! Tables of fixed layout, so that rows can be printed as they come.
//!
//! Owns alignment and clipping in terminal columns. Cells must be printable already.

use anstyle::Style;

use super::style::{self, PLAIN, WHOLE};
use crate::text::{clip, clip_middle, width};

/// Blanks between columns.
const GAP: usize = 2;

/// Narrowest that a column is squeezed to.
const COLUMN_MIN: usize = 8;

/// On which side a column's cells stand, and where they are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words: cut at the end.
    Left,
    /// Paths: cut in the middle.
    Path,
    /// Numbers.
    Right,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// How its cells stand.
    pub align: Align,
    /// Its width in terminal columns.
    pub width: usize,
}

impl Column {
    /// A column of words, as wide as its heading until laid out.
    pub fn left(title: &'static str) -> Column {
        Column { title, align: Align::Left, width: width(title) }
    }

    /// A column of numbers.
    pub fn right(title: &'static str) -> Column {
        Column { title, align: Align::Right, width: width(title) }
    }

    /// At least that wide.
    #[must_use]
    pub fn at_least(mut self, columns: usize) -> Column {
        self.width = self.width.max(columns);
        self
    }
}

/// A cell.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in a style.
    pub fn new(text: impl Into<String>, style: Style) -> Cell {
        Cell { text: text.into(), style }
    }

    /// The same cell behind some text.
    #[must_use]
    pub fn behind(self, text: &str) -> Cell {
        Cell { text: format!("{text}{}", self.text), ..self }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::new(text, PLAIN)
    }
}

/// A layout.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    /// Whether a cell that is wider than its column is cut to it, or pushes what follows to the right.
    cuts: bool,
}

impl Table {
    /// A table of columns whose widths are as they should be, for that many terminal columns.
    pub fn fixed(columns: Vec<Column>, columns_max: usize) -> Table {
        Table { columns, cuts: columns_max != WHOLE }
    }

    /// A table wide enough for its rows, with the widest columns squeezed to fit.
    pub fn fitted(mut columns: Vec<Column>, rows: &[Vec<Cell>], columns_max: usize) -> Table {
        for row in rows {
            for (column, cell) in columns.iter_mut().zip(row) {
                column.width = column.width.max(width(&cell.text));
            }
        }
        let gaps = GAP * columns.len().saturating_sub(1);
        while columns.iter().map(|c| c.width).sum::<usize>() + gaps > columns_max {
            match columns.iter_mut().filter(|c| c.align != Align::Right).max_by_key(|c| c.width) {
                Some(widest) if widest.width > COLUMN_MIN => widest.width -= 1,
                _ => break,
            }
        }
        Table { columns, cuts: true }
    }

    /// The headings.
    pub fn header(&self) -> String {
        let cells: Vec<Cell> =
            self.columns.iter().map(|c| Cell::new(c.title, style::FAINT)).collect();
        self.line(&cells)
    }

    /// One row, without a line end.
    pub fn line(&self, cells: &[Cell]) -> String {
        let mut out = String::new();
        let mut blanks = 0;
        let filled =
            cells.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
        for (column, cell) in self.columns.iter().zip(&cells[..filled]) {
            let text = match column.align {
                _ if !self.cuts => cell.text.clone(),
                Align::Path => clip_middle(&cell.text, column.width),
                Align::Left | Align::Right => clip(&cell.text, column.width),
            };
            let slack = column.width.saturating_sub(width(&text));
            let before = if column.align == Align::Right { slack } else { 0 };
            out.push_str(&" ".repeat(blanks + before));
            out.push_str(&style::paint(cell.style, &text));
            // Kept back, so that no line ends in blanks.
            blanks = GAP + slack - before;
        }
        out
    }

    /// Headings and rows, each with its line end.
    pub fn render(&self, rows: &[Vec<Cell>]) -> String {
        let lines = std::iter::once(self.header()).chain(rows.iter().map(|row| self.line(row)));
        lines.map(|line| line + "\n").collect()
    }
}
