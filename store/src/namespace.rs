//! What stands before every key, so that several registries may share one server.

/// The namespace and a zero byte, or nothing when there is no namespace.
///
/// The zero byte keeps `foo` and `foobar` apart: without it, a key of the one may read as another key of the other. It
/// keeps them apart from a store without a namespace, too: no number and no type in an entity key is zero, so the name and
/// the zero never read as the beginning of one. (A namespace holds no zero byte and begins with none.)
pub(crate) fn prefix(namespace: &str) -> Vec<u8> {
    let mut prefix = namespace.as_bytes().to_vec();
    if !prefix.is_empty() {
        prefix.push(0);
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_begins_with_another_but_the_empty_one() {
        assert_eq!(prefix(""), b"");
        assert_eq!(prefix("foo"), b"foo\0");
        assert!(!prefix("foobar").starts_with(&prefix("foo")));
    }
}
