//! Volatile functions in SQL, found by name: a view that calls one yields other rows on every run.
//!
//! The text is read as words, past comments, strings and quoted names; it need not parse, so that the error stands beside
//! the parser's. What only a planner can see, it says by itself ([`crate::facts::PlannedView::volatile`]).

use crate::facts::Position;

/// Functions that read a clock or roll dice. They are refused in a view's SQL.
pub const VOLATILE_FUNCTIONS: [&str; 19] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtimestamp",
    "localtime",
    "today",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "timeofday",
    "getdate",
    "sysdate",
    "random",
    "rand",
    "uuid",
    "uuidv4",
    "gen_random_uuid",
    "shuffle",
];

/// Those that SQL calls without brackets.
const BARE: [&str; 5] = ["current_timestamp", "current_date", "current_time", "localtimestamp", "localtime"];

/// The name under which a planner tells a function that SQL calls `function`.
pub(super) fn planned_as(function: &str) -> &str {
    match function {
        "current_timestamp" | "localtimestamp" => "now",
        "localtime" => "current_time",
        "today" => "current_date",
        "rand" => "random",
        "uuidv4" | "gen_random_uuid" => "uuid",
        other => other,
    }
}

/// A call of a volatile function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolatileCall {
    /// The function's name, in lower case.
    pub function: &'static str,
    /// Where it stands.
    pub position: Position,
}

/// The name in [`VOLATILE_FUNCTIONS`] that `name` is, without regard to case.
fn volatile(name: &str) -> Option<&'static str> {
    VOLATILE_FUNCTIONS.into_iter().find(|volatile| volatile.eq_ignore_ascii_case(name))
}

/// Every call of a volatile function in `sql`, in order.
pub fn volatile_calls(sql: &str) -> Vec<VolatileCall> {
    let tokens = Tokens { rest: sql, line: 1, column: 1 }.collect::<Vec<_>>();
    let mut calls = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let Some(function) = volatile(token.text) else { continue };
        let before = index.checked_sub(1).and_then(|before| tokens.get(before)).map_or("", |token| token.text);
        let after = tokens.get(index + 1).map_or("", |token| token.text);
        // `t.current_date` and `AS current_date` are columns of that name
        let is_name = before == "." || before.eq_ignore_ascii_case("as");
        if !is_name && (after == "(" || BARE.contains(&function) && after != ".") {
            calls.push(VolatileCall { function, position: token.position });
        }
    }
    calls
}

/// A word, or one character of anything else.
#[derive(Clone, Copy, Debug)]
struct Token<'s> {
    text: &'s str,
    position: Position,
}

/// The tokens of a text; comments, strings and quoted names are passed over, an unfinished one to the end.
struct Tokens<'s> {
    rest: &'s str,
    line: u64,
    column: u64,
}

impl<'s> Tokens<'s> {
    fn take(&mut self, bytes: usize) -> &'s str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        for letter in taken.chars() {
            if letter == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            } else {
                self.column += 1;
            }
        }
        taken
    }

    /// How many bytes at the start are no token.
    fn skipped(&self) -> usize {
        let rest = self.rest;
        let through = |opening: usize, closing: &str| {
            let body = rest.get(opening..).unwrap_or("");
            body.find(closing).map_or(rest.len(), |at| opening + at + closing.len())
        };
        match rest.as_bytes() {
            [b'-', b'-', ..] => through(2, "\n"),
            [b'/', b'*', ..] => through(2, "*/"),
            // a doubled quote ends one string and begins the next: passed over all the same
            [b'\'', ..] => through(1, "'"),
            [b'"', ..] => through(1, "\""),
            [b'`', ..] => through(1, "`"),
            _ => rest.len() - rest.trim_start().len(),
        }
    }
}

impl<'s> Iterator for Tokens<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let skipped = self.skipped();
            if skipped == 0 {
                break;
            }
            self.take(skipped);
        }
        let position = Position { line: self.line, column: self.column };
        let word = self.rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(self.rest.len());
        let first = self.rest.chars().next()?;
        let bytes = if word > 0 { word } else { first.len_utf8() };
        Some(Token { text: self.take(bytes), position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sql: &str) -> Vec<(&'static str, u64, u64)> {
        let calls = volatile_calls(sql).into_iter();
        calls.map(|call| (call.function, call.position.line, call.position.column)).collect()
    }

    #[test]
    fn volatile_calls_are_found_in_any_case_with_their_place() {
        assert_eq!(found("SELECT a,\n  NOW() - b, Random ( )"), [("now", 2, 3), ("random", 2, 14)]);
        assert_eq!(found("SELECT é, current_date"), [("current_date", 1, 11)]);
    }

    #[test]
    fn names_strings_and_comments_are_not_calls() {
        for sql in [
            "SELECT now FROM t",
            "SELECT 'now()' , 'it''s now()'",
            "SELECT \"now\"(1)",
            "-- now()\nSELECT 1",
            "/* now()\n */ SELECT 1",
            "SELECT t.current_date, x AS current_date FROM t",
            "SELECT nowhere(), my_random(1)",
            "SELECT 'now()",
            "",
        ] {
            assert_eq!(found(sql), [], "{sql}");
        }
    }
}
