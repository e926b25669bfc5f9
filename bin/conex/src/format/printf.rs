//! `printf`: Go's verbs over values of JSON.

use serde_json::Value;

use super::functions::{LONGEST, Outcome, WIDEST, bounded, width};
use super::print::{general, quote, shown, text};
use super::shape::{Shape, Val};

/// A verb's flags, width and precision.
#[derive(Debug, Default)]
struct Directive {
    left: bool,
    zero: bool,
    plus: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// C's and Go's, with Go's words for what does not fit.
pub(super) fn printf(format: &str, arguments: &[Val<'_>]) -> Outcome {
    let mut out = String::new();
    let mut arguments_left = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut directive = Directive::default();
        while let Some(&flag) = chars.peek() {
            match flag {
                '-' => directive.left = true,
                '0' => directive.zero = true,
                '+' => directive.plus = true,
                '#' => directive.sharp = true,
                ' ' => {}
                _ => break,
            }
            chars.next();
        }
        let mut digits = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut number = None;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                number = Some((number.unwrap_or(0) * 10 + digit as usize).min(WIDEST));
                chars.next();
            }
            if number.is_none() && chars.next_if_eq(&'*').is_some() {
                let value = arguments_left.next().ok_or("%!(BADWIDTH)".to_owned())?;
                number = Some(width(value)?);
            }
            Ok::<_, String>(number)
        };
        directive.width = digits(&mut chars)?.unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            directive.precision = Some(digits(&mut chars)?.unwrap_or(0));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match arguments_left.next() {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => fill(&mut out, &directive, &verb_text(verb, &directive, value)),
            },
        }
        if out.len() > LONGEST {
            return Err("the text gets too long".to_owned());
        }
    }
    let extra: Vec<_> = arguments_left.map(shown).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    bounded(out)
}

fn verb_text(verb: char, directive: &Directive, value: &Val<'_>) -> String {
    let signed =
        |text: String| if directive.plus && !text.starts_with('-') { format!("+{text}") } else { text };
    match (verb, &**value) {
        ('v' | 's', _) if matches!(value.shape(), Shape::Duration | Shape::Time) => shown(value),
        ('v', Value::String(source)) if directive.sharp => quote(source),
        ('v' | 's', Value::String(source)) => match directive.precision {
            Some(precision) => source.chars().take(precision).collect(),
            None => source.clone(),
        },
        ('v', Value::Number(_)) => signed(text(value)),
        ('v', _) | ('s', Value::Array(_) | Value::Object(_)) => shown(value),
        ('s', Value::Null) if value.count().is_some() => shown(value),
        ('q', Value::String(source)) => quote(source),
        ('q', Value::Array(items)) => {
            let words: Vec<_> = items.iter().map(|item| quote(&text(item))).collect();
            format!("[{}]", words.join(" "))
        }
        ('t', Value::Bool(flag)) => flag.to_string(),
        ('x', Value::String(source)) => source.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('f' | 'F' | 'e' | 'g', Value::Number(number)) => {
            let float = number.as_f64().unwrap_or(0.0);
            signed(match verb {
                'g' => general(float, directive.precision),
                'e' => format!("{float:.*e}", directive.precision.unwrap_or(6)),
                _ => format!("{float:.*}", directive.precision.unwrap_or(6)),
            })
        }
        (_, Value::Number(number)) => match (verb, number.as_i64()) {
            ('d', Some(number)) => signed(number.to_string()),
            ('d', None) if number.is_u64() => number.to_string(),
            ('x', Some(number)) => radix(number, format!("{:x}", number.unsigned_abs())),
            ('X', Some(number)) => radix(number, format!("{:X}", number.unsigned_abs())),
            ('o', Some(number)) => radix(number, format!("{:o}", number.unsigned_abs())),
            ('b', Some(number)) => radix(number, format!("{:b}", number.unsigned_abs())),
            ('c', Some(number)) => {
                u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string()
            }
            _ => format!("%!{verb}({})", text(value)),
        },
        _ => format!("%!{verb}({})", text(value)),
    }
}

fn radix(number: i64, digits: String) -> String {
    if number < 0 { format!("-{digits}") } else { digits }
}

fn fill(out: &mut String, directive: &Directive, text: &str) {
    let missing = directive.width.saturating_sub(text.chars().count());
    if directive.left {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if directive.zero {
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) => text.split_at(text.len() - digits.len()),
            None => ("", text),
        };
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}
