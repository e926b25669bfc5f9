//! Draws the dashboard. Pure: from the model to a frame, at any size.

use std::borrow::Cow;
use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Sparkline, Table, TableState};

use super::model::{Container, Image, Model, Over, Tab, Usage};
use super::pager::Pager;
use crate::format::units::{binary, size};

const HELP: &[(&str, &str)] = &[
    ("Tab", "containers, images"),
    ("↑ ↓ PgUp PgDn", "choose"),
    ("s", "sort: name, cpu, memory, pids, state"),
    ("/", "filter (Enter keeps it, Esc clears it)"),
    ("l", "logs, as they are written"),
    ("i", "inspect"),
    ("e", "a shell in the container"),
    ("t  o  r", "start, stop, restart"),
    ("p", "pause, unpause"),
    ("k", "kill"),
    ("d", "remove (asks)"),
    ("q", "quit"),
];

const CONTAINER_KEYS: &[(&str, &str)] = &[
    ("l", "ogs"),
    ("i", "nspect"),
    ("e", "xec"),
    ("t", " start"),
    ("o", " stop"),
    ("r", "estart"),
    ("p", "ause"),
    ("k", "ill"),
    ("d", " remove"),
    ("s", "ort"),
    ("/", "filter"),
    ("Tab", " images"),
    ("?", "help"),
    ("q", "uit"),
];

const IMAGE_KEYS: &[(&str, &str)] = &[
    ("i", "nspect"),
    ("d", " remove"),
    ("/", "filter"),
    ("Tab", " containers"),
    ("?", "help"),
    ("q", "uit"),
];

const TEXT_KEYS: &[(&str, &str)] = &[("↑↓ PgUp PgDn ←→", " scroll"), ("f", "ollow"), ("q", " back")];

/// A heading, a width, and what stands below.
type Column<T> = (&'static str, Constraint, fn(&T) -> String);

/// How things look; without colours (`NO_COLOR`) by weight alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    pub(super) colors: bool,
}

impl Theme {
    fn color(self, color: Color) -> Style {
        if self.colors { Style::new().fg(color) } else { Style::new() }
    }

    fn state(self, one: &Container) -> Style {
        match one.state {
            _ if one.status.contains("unhealthy") => self.color(Color::Red).add_modifier(Modifier::BOLD),
            "running" => self.color(Color::Green),
            "paused" | "restarting" => self.color(Color::Yellow),
            _ => Style::new().add_modifier(Modifier::DIM),
        }
    }
}

/// Draws all of it; tells the model how high a page of text is.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model, theme: Theme) {
    let [head, body, status, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    if let Over::Text(pager) = &model.over {
        model.page = usize::from(body.height);
        text(frame, pager, head, body);
        keys(frame, TEXT_KEYS, foot, theme);
    } else {
        frame.render_widget(title(model, theme), head);
        match model.tab {
            Tab::Containers => {
                containers(frame, model, body, theme);
                keys(frame, CONTAINER_KEYS, foot, theme);
            }
            Tab::Images => {
                images(frame, model, body);
                keys(frame, IMAGE_KEYS, foot, theme);
            }
        }
    }
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let (said, style): (Cow<'_, str>, Style) = match &model.over {
        Over::Ask(_, what) => (format!("{what}? (y/n)").into(), bold),
        Over::Filter => (format!("filter: {}_", model.filter).into(), bold),
        _ if model.status.1 => {
            (model.status.0.as_str().into(), theme.color(Color::Red).add_modifier(Modifier::BOLD))
        }
        _ => (model.status.0.as_str().into(), Style::new()),
    };
    frame.render_widget(Line::styled(said, style), status);
    if matches!(model.over, Over::Help) {
        help(frame, theme);
    }
}

fn title(model: &Model, theme: Theme) -> Line<'static> {
    let (containers, images) = model.counts();
    let tab = |text: String, here: bool| {
        let style =
            if here { Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD) } else { Style::new() };
        Span::styled(text, style)
    };
    let mut spans = vec![
        tab(format!(" Containers {containers} "), model.tab == Tab::Containers),
        tab(format!(" Images {images} "), model.tab == Tab::Images),
    ];
    if model.tab == Tab::Containers {
        spans.push(Span::raw(format!("  sort: {}", model.sort.word())));
    }
    if !model.filter.is_empty() {
        spans.push(Span::styled(format!("  filter: {}", model.filter), theme.color(Color::Yellow)));
    }
    Line::from(spans)
}

fn keys(frame: &mut Frame<'_>, keys: &[(&'static str, &'static str)], area: Rect, theme: Theme) {
    let key = theme.color(Color::Cyan).add_modifier(Modifier::BOLD);
    let mut spans = Vec::new();
    // The last three lead to the rest: they stay where not all fit.
    let width = |(key, rest): &(&str, &str)| key.chars().count() + rest.chars().count() + 2;
    let ends = &keys[keys.len().saturating_sub(3)..];
    let mut room = usize::from(area.width).saturating_sub(ends.iter().map(width).sum());
    let first = keys[..keys.len() - ends.len()].iter().take_while(|one| {
        let fits = width(one) <= room;
        room = room.saturating_sub(width(one));
        fits
    });
    for (name, rest) in first.chain(ends) {
        spans.extend([Span::styled(*name, key), Span::raw(*rest), Span::raw("  ")]);
    }
    frame.render_widget(Line::from(spans), area);
}

fn containers(frame: &mut Frame<'_>, model: &Model, area: Rect, theme: Theme) {
    let graphs_fit = area.height >= 14;
    let [list, graphs] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(if graphs_fit { 7 } else { 0 })])
            .areas(area);
    // Columns go as the terminal gets narrow, the name last.
    let columns: &[Column<Container>] = &[
        ("NAME", Constraint::Fill(2), |one| one.name.clone()),
        ("STATUS", Constraint::Fill(3), |one| one.status.clone()),
        ("CPU %", Constraint::Length(8), |one| used(one, |usage| format!("{:.2}%", usage.cpu))),
        ("MEM / LIMIT", Constraint::Length(21), |one| {
            used(one, |usage| format!("{} / {}", binary(usage.memory), binary(usage.limit)))
        }),
        ("PIDS", Constraint::Length(6), |one| used(one, |usage| usage.pids.to_string())),
        ("IMAGE", Constraint::Fill(2), |one| one.image.clone()),
    ];
    let shown = match area.width {
        0..30 => 2,
        30..64 => 3,
        64..84 => 5,
        _ => columns.len(),
    };
    let columns = &columns[..shown];
    let rows = model.containers();
    let rows = rows.iter().map(|one| {
        Row::new(columns.iter().map(|(heading, _, cell)| {
            let style = if *heading == "STATUS" { theme.state(one) } else { Style::new() };
            Cell::new(cell(one)).style(style)
        }))
    });
    table(frame, columns.iter().map(|(heading, width, _)| (*heading, *width)), rows, model.cursor(), list);
    if model.counts().0 == 0 {
        empty(frame, "No containers: 'conex run' makes one.", list);
    }
    if graphs_fit && let Some(one) = model.container() {
        graph_row(frame, model, one, graphs, theme);
    }
}

fn used(one: &Container, shown: impl Fn(&Usage) -> String) -> String {
    one.usage.as_ref().map_or_else(|| "--".to_owned(), shown)
}

fn images(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let columns: &[Column<Image>] = &[
        ("REPOSITORY", Constraint::Fill(3), |one| one.name.clone()),
        ("TAG", Constraint::Fill(2), |one| one.tag.clone()),
        ("SIZE", Constraint::Length(8), |one| size(one.size)),
        ("IMAGE ID", Constraint::Length(13), |one| one.id.clone()),
        ("CREATED", Constraint::Length(15), |one| one.created.clone()),
    ];
    let columns = &columns[..if area.width < 64 { 3 } else { columns.len() }];
    let rows = model.images();
    let rows = rows.iter().map(|one| Row::new(columns.iter().map(|(_, _, cell)| cell(one))));
    table(frame, columns.iter().map(|(heading, width, _)| (*heading, *width)), rows, model.cursor(), area);
    if model.counts().1 == 0 {
        empty(frame, "No images: 'conex pull' gets one.", area);
    }
}

fn table<'r>(
    frame: &mut Frame<'_>,
    columns: impl Iterator<Item = (&'static str, Constraint)>,
    rows: impl Iterator<Item = Row<'r>>,
    cursor: Option<usize>,
    area: Rect,
) {
    let (headings, widths): (Vec<_>, Vec<_>) = columns.unzip();
    let table = Table::new(rows, widths)
        .header(Row::new(headings).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(cursor));
}

fn empty(frame: &mut Frame<'_>, text: &'static str, area: Rect) {
    frame.render_widget(Line::raw(text), area.inner(Margin::new(1, 2)));
}

fn graph_row(frame: &mut Frame<'_>, model: &Model, one: &Container, area: Rect, theme: Theme) {
    let areas: [Rect; 3] = Layout::horizontal([Constraint::Fill(1); 3]).areas(area);
    let none = VecDeque::new();
    let history = model.history(&one.id);
    let usage = one.usage.as_ref();
    let pressure = usage.map_or_else(
        || "--".to_owned(),
        |usage| {
            let names = ["cpu", "mem", "io"].iter().zip(usage.pressure);
            let known: Vec<_> =
                names.filter_map(|(name, one)| Some(format!("{name} {:.1}%", one?))).collect();
            if known.is_empty() { "--".to_owned() } else { known.join(" ") }
        },
    );
    let graphs = [
        (
            "CPU",
            used(one, |usage| format!("{:.2}%", usage.cpu)),
            history.map(|one| &one.cpu),
            10_000,
            Color::Green,
        ),
        ("Memory", used(one, |usage| binary(usage.memory)), history.map(|one| &one.memory), 1, Color::Blue),
        ("Waits", pressure, history.map(|one| &one.pressure), 1_000, Color::Magenta),
    ];
    for ((name, now, series, least, color), area) in graphs.into_iter().zip(areas) {
        let series = series.unwrap_or(&none);
        let block = Block::bordered().title(format!("{name} {now}"));
        let inside = block.inner(area);
        // The newest at the right, and a scale that small values do not fill.
        let points: Vec<u64> = series.iter().rev().take(usize::from(inside.width)).rev().copied().collect();
        let highest = points.iter().copied().max().unwrap_or(0).max(least);
        let graph = Sparkline::default().data(points).max(highest).style(theme.color(color));
        frame.render_widget(block, area);
        frame.render_widget(graph, inside);
    }
}

fn text(frame: &mut Frame<'_>, pager: &Pager, head: Rect, body: Rect) {
    let (lines, top, count) = pager.page(usize::from(body.height));
    let lines: Vec<Line<'_>> = lines.map(Line::raw).collect();
    let state = match (pager.ended, pager.follows) {
        (true, _) => "",
        (false, true) => "  following",
        (false, false) => "  held",
    };
    let last = (top + lines.len()).min(count);
    let title = format!(" {}  {}-{last} of {count}{state} ", pager.title, (top + 1).min(count));
    frame.render_widget(
        Line::styled(title, Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)),
        head,
    );
    frame.render_widget(Paragraph::new(lines).scroll((0, pager.left)), body);
}

fn help(frame: &mut Frame<'_>, theme: Theme) {
    let whole = frame.area();
    let height = u16::try_from(HELP.len() + 2).unwrap_or(u16::MAX).min(whole.height);
    let width = 58.min(whole.width);
    let area = Rect {
        x: whole.x + (whole.width - width) / 2,
        y: whole.y + (whole.height - height) / 2,
        width,
        height,
    };
    let key = theme.color(Color::Cyan).add_modifier(Modifier::BOLD);
    let lines: Vec<Line<'_>> = HELP
        .iter()
        .map(|(name, what)| Line::from(vec![Span::styled(format!(" {name:<14} "), key), Span::raw(*what)]))
        .collect();
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Keys ")), area);
}

#[cfg(test)]
mod tests;
