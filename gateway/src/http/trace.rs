//! The `traceparent` header of W3C Trace Context.

use tidegate_catalog::TraceContext;

/// The header's name.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// Reads `version-trace-parent-flags`; `None` for what the specification calls invalid, which starts a trace of our own
/// rather than a refusal. A version after 00 may carry more behind its flags.
pub(crate) fn parse(header: &[u8]) -> Option<TraceContext> {
    let (version, rest) = field::<1>(header)?;
    let (trace_id, rest) = field::<16>(rest.strip_prefix(b"-")?)?;
    let (parent_id, rest) = field::<8>(rest.strip_prefix(b"-")?)?;
    let (flags, rest) = field::<1>(rest.strip_prefix(b"-")?)?;
    let complete = match version {
        [0] => rest.is_empty(),
        [0xff] => false,
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    let named = trace_id != [0; 16] && parent_id != [0; 8];
    (complete && named).then_some(TraceContext { trace_id, parent_id, sampled: flags[0] & 1 == 1 })
}

/// Takes `N` bytes written as lower-case hexadecimal.
fn field<const N: usize>(header: &[u8]) -> Option<([u8; N], &[u8])> {
    let (digits, rest) = header.split_at_checked(2 * N)?;
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
    }
    Some((bytes, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_an_invalid_one_passed_over() {
        let read = parse(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!(read.trace_id[..2], [0x0a, 0xf7]);
        assert_eq!(read.parent_id[7], 0x31);
        assert!(read.sampled);
        assert!(parse(b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more").is_some());
        for invalid in [
            &b""[..],
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            b"00-00000000000000000000000000000000-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(invalid), None, "{}", String::from_utf8_lossy(invalid));
        }
    }
}
