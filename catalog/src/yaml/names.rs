//! Names: what may be one, and what was probably meant.

/// The longest name.
const MAX_NAME: usize = 128;

/// Why `name` cannot be a name, if so.
pub(super) fn refusal(name: &str) -> Option<String> {
    if name.contains('@') {
        return Some(format!("{name:?} cannot be a name: `view@vN` is reserved for versions"));
    }
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !first || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Some(format!("{name:?} cannot be a name; write it as [A-Za-z_][A-Za-z0-9_]*"));
    }
    (name.len() > MAX_NAME).then(|| format!("a name has at most {MAX_NAME} characters, this one {}", name.len()))
}

/// `; did you mean "x"?` with the known name that is nearest, or what there is when none is near.
pub(super) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a String>) -> String {
    let known = known.into_iter().collect::<Vec<_>>();
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .min();
    match nearest {
        Some((distance, candidate)) if distance <= (name.len() / 3).max(1) => format!("; did you mean {candidate:?}?"),
        _ if known.is_empty() => String::new(),
        _ => {
            let shown = known.iter().take(20).map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            format!(" (there are: {shown})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        for good in ["a", "_", "no", "on", "A1_b"] {
            assert_eq!(refusal(good), None);
        }
        for bad in ["", "1a", "a-b", "a b", "é", "a.b", "view@v2"] {
            assert!(refusal(bad).is_some(), "{bad}");
        }
    }
}
