//! Columns under each other: tab-separated cells padded with spaces, as Go's text/tabwriter does with Docker's
//! settings (at least 10 wide, 3 spaces between).

const NARROWEST: usize = 10;
const GAP: usize = 3;

/// Aligns the cells of `text`. The last cell of a line is not padded.
pub(crate) fn align(text: &str) -> String {
    columns(text, NARROWEST)
}

/// As [`align`], with the wide columns of `top`.
pub(crate) fn align_wide(text: &str) -> String {
    columns(text, 2 * NARROWEST)
}

fn columns(text: &str, narrowest: usize) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for cells in &lines {
        // A column is as wide as its widest cell that is followed by another.
        for (column, cell) in cells[..cells.len() - 1].iter().enumerate() {
            let width = (width(cell) + GAP).max(narrowest);
            match widths.get_mut(column) {
                Some(known) => *known = (*known).max(width),
                None => widths.push(width),
            }
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (index, cells) in lines.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        for (column, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < cells.len() {
                out.extend(std::iter::repeat_n(' ', widths[column].saturating_sub(width(cell))));
            }
        }
    }
    out
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::align;

    #[test]
    fn columns_are_ten_wide_or_three_more_than_their_widest_cell() {
        assert_eq!(
            align("CONTAINER ID\tIMAGE\tNAMES\n0123456789ab\talpine\tweb\n"),
            "CONTAINER ID   IMAGE     NAMES\n0123456789ab   alpine    web\n"
        );
    }

    #[test]
    fn an_ellipsis_is_one_wide() {
        assert_eq!(align("A\tB\n\"sleep infinit…\"\tx"), "A                  B\n\"sleep infinit…\"   x");
    }
}
