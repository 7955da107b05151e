//! A planner's words for whoever wrote the query: without the engine's own names and settings, and with what they do not
//! say, that a name with capitals, dots or spaces is reached in double quotes.

use crate::{Error, PinnedSource};

/// The error in plain words, and the columns of `sources` that its query may have meant, as they must be written.
pub(crate) fn with_quoted_names(error: Error, sql: &str, sources: &[PinnedSource]) -> Error {
    let Error::Query { view, message, position } = error else { return error };
    let message = plain(&message);
    let schemas = sources.iter().map(PinnedSource::schema).collect::<Vec<_>>();
    let names = schemas.iter().flat_map(|schema| schema.fields()).map(|field| field.name().as_str());
    let mut meant = names.filter(|name| needs_quotes(name)).collect::<Vec<_>>();
    match unknown_name(&message) {
        Some(unknown) => meant.retain(|name| is_meant(name, unknown)),
        // a name of two words is no longer one when it is parsed
        None if position.is_some() => meant.retain(|name| stands_bare(name, sql)),
        None => meant.clear(),
    }
    meant.sort_unstable();
    meant.dedup();
    let quoted = meant.into_iter().map(crate::engine::quoted).collect::<Vec<_>>().join(", ");
    let hint = if quoted.is_empty() { String::new() } else { format!("; in double quotes there is {quoted}") };
    let message = unknown_column(&message).unwrap_or(message);
    Error::Query { view, message: message + &hint, position }
}

/// Without the kind of error, the parser's brackets, and the catalog that tables have inside the engine.
fn plain(message: &str) -> String {
    let kinds = ["Error during planning: ", "Schema error: ", "This feature is not implemented: "];
    let bare = kinds.iter().fold(message, |text, kind| text.strip_prefix(kind).unwrap_or(text));
    let parser = bare.strip_prefix("ParserError(\"").and_then(|text| text.strip_suffix("\")"));
    let text = parser.map_or_else(|| bare.to_owned(), |text| text.replace("\\\"", "\""));
    text.replace("datafusion.public.", "").replace('\n', " ")
}

/// What is said of a column that is not there, without advice on settings that a project does not have.
fn unknown_column(message: &str) -> Option<String> {
    let unknown = unknown_name(message)?;
    let there = message.split_once("Valid fields are ").map(|(_, names)| names.trim_end_matches('.'));
    Some(format!(
        "no column is named {unknown}{}",
        there.map_or_else(String::new, |names| format!(" (there are: {names})"))
    ))
}

/// Without double quotes a name is read in lower case, up to the first character that is no letter, digit or underscore.
fn needs_quotes(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    !name.chars().all(plain) || name.starts_with(|letter: char| letter.is_ascii_digit())
}

/// The name that the planner says is not there.
fn unknown_name(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("No field named ")?;
    let end = [". Did you mean", ". Valid fields", ". Column names"].iter().filter_map(|mark| rest.find(mark)).min();
    Some(rest.get(..end.unwrap_or(rest.len()))?.trim_end_matches('.'))
}

/// Whether `name` is what became `unknown`: the whole in other letters, or its first word.
fn is_meant(name: &str, unknown: &str) -> bool {
    let unknown = unknown.trim_matches('"');
    let column = unknown.rsplit('.').next().unwrap_or(unknown);
    let first = name.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or(name);
    [name, first].iter().any(|part| part.eq_ignore_ascii_case(unknown) || part.eq_ignore_ascii_case(column))
}

/// Whether `name`, one of several words, stands in `sql` without quotes.
fn stands_bare(name: &str, sql: &str) -> bool {
    let several = name.contains(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let (name, sql) = (name.to_lowercase(), sql.to_lowercase());
    several && sql.match_indices(&name).any(|(at, _)| !sql.get(..at).unwrap_or_default().ends_with('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planners_unknown_name_is_read_with_its_dots() {
        assert_eq!(unknown_name("Schema error: No field named key. Valid fields are s.x."), Some("key"));
        assert_eq!(unknown_name("No field named event.time. Did you mean 's.k'?."), Some("event.time"));
        assert_eq!(unknown_name("No field named \"Kay\"."), Some("\"Kay\""));
        assert_eq!(unknown_name("table not found"), None);
    }

    #[test]
    fn words_of_the_engine_for_itself_are_left_out() {
        for (said, plainly) in [
            ("Error during planning: table 'datafusion.public.t' not found", "table 't' not found"),
            ("ParserError(\"found: \\\"x\\\" at Line: 1, Column: 2\")", "found: \"x\" at Line: 1, Column: 2"),
            ("Schema error: one\ntwo", "one two"),
        ] {
            assert_eq!(plain(said), plainly);
        }
    }

    #[test]
    fn only_what_was_written_in_other_letters_or_cut_at_a_dot_or_space_was_meant() {
        for (name, unknown, expected) in [
            ("X", "x", true),
            ("X", "s.x", true),
            ("Key Name", "key", true),
            ("event.Time", "event.time", true),
            ("Key Name", "name", false),
            ("Xy", "x", false),
        ] {
            assert_eq!(is_meant(name, unknown), expected, "{name} {unknown}");
        }
        assert!(stands_bare("Key Name", "SELECT key name AS k") && !stands_bare("Key Name", "SELECT \"Key Name\" k"));
        assert!(needs_quotes("2nd") && needs_quotes("a b") && !needs_quotes("a_2"));
    }
}
