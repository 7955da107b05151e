//! How the rows of a put travel: in one call of the put script, rows of one key side by side sharing the key and the commands.

use redis::Cmd;

use super::{field_name, scripts::MOST_FIELDS};
use crate::Put;

/// The call of the script that the server knows by `hash`, for rows that can be stored.
/// # Cost
/// Two vectors of references and the command's own buffer; no allocation a row.
pub(super) fn put_command(hash: &str, prefix: &[u8], rows: &[&Put]) -> Cmd {
    let entries = entries(rows);
    let size_bytes = rows.iter().map(|row| prefix.len() + row.key.as_bytes().len() + row.row.len()).sum::<usize>();
    let mut command = Cmd::with_capacity(2 * rows.len() + 16, size_bytes + 16 * rows.len() + 64);
    command.arg("EVALSHA").arg(hash).arg(entries.len());
    let mut stored_key = prefix.to_vec();
    for entry in entries.iter().filter_map(|entry| entry.first()) {
        stored_key.truncate(prefix.len());
        stored_key.extend_from_slice(entry.key.as_bytes());
        command.arg(&stored_key[..]);
    }
    for run in entries.chunk_by(|one, next| same_fields(one, next)) {
        let fields = run.first().copied().unwrap_or_default();
        command.arg(fields.len()).arg(run.len());
        for row in fields {
            command.arg(field_name(row.field).as_slice());
        }
        for row in run.iter().copied().flatten() {
            command.arg(&row.row[..]);
        }
    }
    command
}

/// Cuts `rows` where the key changes, where a field comes again (the rows of one cell act one after the other), and where the
/// script takes no more.
fn entries<'r, 'p>(rows: &'r [&'p Put]) -> Vec<&'r [&'p Put]> {
    let (mut entries, mut rest) = (Vec::with_capacity(rows.len()), rows);
    while let Some((first, more)) = rest.split_first() {
        let mut length = 1;
        while let Some(next) = more.get(length - 1)
            && length < MOST_FIELDS
            && next.key == first.key
            && !rest.iter().take(length).any(|before| before.field == next.field)
        {
            length += 1;
        }
        let (entry, after) = rest.split_at(length);
        entries.push(entry);
        rest = after;
    }
    entries
}

fn same_fields(one: &[&Put], other: &[&Put]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.field == other.field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestRow;

    /// Cells as (entity, field) -> how they are cut.
    #[test]
    fn rows_of_one_key_side_by_side_are_one_entry() {
        type Cells = &'static [(i64, u32)];
        let table: [(Cells, &[usize]); 7] = [
            (&[], &[]),
            (&[(1, 1), (2, 1), (3, 1)], &[1, 1, 1]),
            (&[(1, 1), (1, 2), (2, 1), (2, 2)], &[2, 2]),
            (&[(1, 1), (2, 1), (1, 2), (2, 2)], &[1, 1, 1, 1]),
            (&[(1, 1), (1, 2), (1, 1), (1, 3)], &[2, 2]),
            (&[(1, 1), (1, 1), (1, 1)], &[1, 1, 1]),
            (&[(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8), (1, 9), (1, 10)], &[8, 2]),
        ];
        for (cells, lengths) in table {
            let puts = cells
                .iter()
                .map(|&(entity, field)| TestRow { entity, field, event: 1, created: None, value: Some(1) }.put());
            let puts = puts.collect::<Vec<_>>();
            let rows = puts.iter().collect::<Vec<_>>();
            let cut = entries(&rows);
            assert_eq!(cut.iter().map(|entry| entry.len()).collect::<Vec<_>>(), lengths, "{cells:?}");
            assert_eq!(cut.concat(), rows);
        }
    }
}
