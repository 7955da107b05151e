//! The scripts that run inside the server, and the meta cells' form there.
//!
//! Rows are compared by big-endian 32-bit words, which Lua's doubles hold exactly; Lua's own `<` on strings follows the
//! server's locale. Numbers in the meta cells are eight bytes, big-endian, sign flipped, so the same comparison serves.

use redis::Script;
use tidegate_catalog::Micros;

use crate::{PutOutcome, StoreMarks};

/// The meta cells' hash fields, in the order in which they travel.
pub(super) const MARK_NAMES: [&str; 6] = ["registry_id", "version", "project", "key_set", "field", "event_clock"];

/// The field beside the marks that is written to see whether the server takes writes.
pub(super) const READY_NAME: &str = "ready";

const COMPARE: &str = r"
local function greater(a, b)
  local n, i = math.min(#a, #b), 1
  while i + 3 <= n do
    local x, y = struct.unpack('>I4', a, i), struct.unpack('>I4', b, i)
    if x ~= y then return x > y end
    i = i + 4
  end
  while i <= n do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
    i = i + 1
  end
  return #a > #b
end
";

/// Most fields of one entry of a put: the script has a loop written out for each number of fields up to this.
pub(super) const MOST_FIELDS: usize = 8;

/// The outcome of a row against a stored one that is not the same: what both begin with is taken apart once, event time, flag,
/// created time, check. (Measured: 4.4 us a row instead of 5.4 with a call a part.)
const AGAINST: &str = r"
local byte = string.byte
local function against(row, stored)
  local a1, a2, a3, a4, a5, a6, a7, a8, a_has, a9, a10, _, _, _, _, _, _, a17, a18 = byte(row, 1, 19)
  local b1, b2, b3, b4, b5, b6, b7, b8, b_has, b9, b10, _, _, _, _, _, _, b17, b18 = byte(stored, 1, 19)
  if a_has ~= 1 then a17, a18 = a9, a10 end
  if b_has ~= 1 then b17, b18 = b9, b10 end
  if not b18 or a18 ~= b18 or a17 % 128 ~= b17 % 128 then return 3 end
  if a1 ~= b1 then return a1 > b1 and 1 or 2 end
  if a2 ~= b2 then return a2 > b2 and 1 or 2 end
  if a3 ~= b3 then return a3 > b3 and 1 or 2 end
  if a4 ~= b4 then return a4 > b4 and 1 or 2 end
  if a5 ~= b5 then return a5 > b5 and 1 or 2 end
  if a6 ~= b6 then return a6 > b6 and 1 or 2 end
  if a7 ~= b7 then return a7 > b7 and 1 or 2 end
  if a8 ~= b8 then return a8 > b8 and 1 or 2 end
  return greater(row, stored) and 1 or 2
end
";

/// Rows of one key side by side are an entry, read with one command and written with one. Neighbouring entries of the same
/// fields are a run; `args` has for each run its number of fields, its number of entries, the fields, and the rows entry by
/// entry. An odd outcome is a row that is written.
fn put() -> String {
    let mut loops = String::new();
    for fields in 1..=MOST_FIELDS {
        loops.push_str(if fields == 1 { "  if" } else { "  elseif" });
        loops.push_str(&format!(" fields == {fields} then\n{}", put_loop(fields)));
    }
    format!(
        "{COMPARE}{AGAINST}
local call, keys, args = redis.call, KEYS, ARGV
local outcomes, n, last, at = {{}}, 0, 0, 1
while last < #keys do
  local fields, first = tonumber(args[at]), last + 1
  last = last + tonumber(args[at + 1])
  at = at + 2
{loops}  end
end
return outcomes
"
    )
}

/// The loop over one run's entries of so many fields, written out: with tables for each key it would be slower than a command
/// a row. (Measured with three fields, best of 21 rounds: 2.1 us a row instead of 2.9.)
fn put_loop(fields: usize) -> String {
    let each = |one: &dyn Fn(usize) -> String| (1..=fields).map(one).collect::<Vec<_>>();
    let names = |letter: &str| each(&|i| format!("{letter}{i}")).join(", ");
    let next = each(&|i| if i == 1 { "args[at]".to_owned() } else { format!("args[at + {}]", i - 1) }).join(", ");
    let wins = |i: usize| format!("o{i} % 2 == 1");
    let (f, r, s, o) = (names("f"), names("r"), names("s"), names("o"));
    let read = match fields {
        1 => "local s1 = call('HGET', key, f1)".to_owned(),
        _ => {
            let stored = each(&|i| format!("stored[{i}]")).join(", ");
            format!("local stored = call('HMGET', key, {f})\n      local {s} = {stored}")
        }
    };
    let judge = each(&|i| {
        format!("      if s{i} then if s{i} == r{i} then o{i} = 0 else o{i} = against(r{i}, s{i}) end end\n")
    });
    let answer = each(&|i| format!("outcomes[n + {i}]")).join(", ");
    let some_win = match fields {
        1 => String::new(),
        _ => {
            let take =
                each(&|i| format!("        if {} then won[#won + 1] = f{i} won[#won + 1] = r{i} end\n", wins(i)));
            let (any, take) = (each(&wins).join(" or "), take.concat());
            format!("      elseif {any} then\n        local won = {{}}\n{take}        call('HSET', key, unpack(won))\n")
        }
    };
    format!(
        "    local {f} = {next}
    at = at + {fields}
    for i = first, last do
      local key, {r} = keys[i], {next}
      {read}
      local {o} = {ones}
{judge}      if {all_win} then
        call('HSET', key, {pairs})
{some_win}      end
      {answer} = {o}
      n, at = n + {fields}, at + {fields}
    end
",
        ones = each(&|_| "1".to_owned()).join(", "),
        judge = judge.concat(),
        all_win = each(&wins).join(" and "),
        pairs = each(&|i| format!("f{i}, r{i}")).join(", "),
    )
}

const REMOVE: &str = r"
local removed = 0
for i = 1, #KEYS do
  if redis.call('HGET', KEYS[i], ARGV[2 * i - 1]) == ARGV[2 * i] then
    removed = removed + redis.call('HDEL', KEYS[i], ARGV[2 * i - 1])
  end
end
return removed
";

const RAISE: &str = r"
local names = {'registry_id', 'version', 'project', 'key_set', 'field', 'event_clock'}
local adopt, id = ARGV[1] == '1', ARGV[2]
local stored = redis.call('HMGET', KEYS[1], unpack(names))
local admitted = adopt
  or ((not stored[1] or id == '' or stored[1] == id) and not (stored[2] and greater(stored[2], ARGV[3])))
if admitted then
  if id ~= '' and (adopt or not stored[1]) then redis.call('HSET', KEYS[1], names[1], id) end
  for i = 2, 6 do
    local new = ARGV[i + 1]
    if not stored[i] or greater(new, stored[i]) then redis.call('HSET', KEYS[1], names[i], new) end
  end
end
return redis.call('HMGET', KEYS[1], unpack(names))
";

/// All scripts, with the hashes by which the server knows them.
pub(super) struct Scripts {
    pub(super) put: Script,
    pub(super) remove: Script,
    pub(super) raise: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self { put: Script::new(&put()), remove: Script::new(REMOVE), raise: Script::new(&format!("{COMPARE}{RAISE}")) }
    }
}

/// What the put script's small number means.
pub(super) const fn outcome(answer: i64) -> Option<PutOutcome> {
    match answer {
        0 => Some(PutOutcome::Equal),
        1 => Some(PutOutcome::Written),
        2 => Some(PutOutcome::Older),
        3 => Some(PutOutcome::WrittenOverForeign),
        _ => None,
    }
}

/// The key of the meta cells. No entity key begins with a zero byte: project numbers start at 1.
pub(super) fn meta_key(prefix: &[u8]) -> Vec<u8> {
    [prefix, b"\0tidegate:meta"].concat()
}

/// A SCAN pattern for keys that begin with `prefix`.
pub(super) fn glob_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len().saturating_mul(2).saturating_add(1));
    for byte in prefix {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^') {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    pattern
}

/// The marks in the order of [`MARK_NAMES`].
pub(super) fn mark_cells(marks: &StoreMarks) -> [Vec<u8>; 6] {
    let long = |value: i64| (value.cast_unsigned() ^ SIGN).to_be_bytes().to_vec();
    [
        marks.registry_id.clone().unwrap_or_default().into_bytes(),
        long(marks.version.cast_signed()),
        long(i64::from(marks.project)),
        long(i64::from(marks.key_set)),
        long(i64::from(marks.field)),
        long(marks.event_clock.0),
    ]
}

/// The marks of a reply; `None` when it has another shape.
pub(super) fn marks(cells: Vec<Option<Vec<u8>>>) -> Option<StoreMarks> {
    let [id, version, project, key_set, field, event_clock] = <[_; 6]>::try_from(cells).ok()?;
    let long = |cell: Option<Vec<u8>>, absent: i64| match cell {
        None => Some(absent),
        Some(bytes) => Some((u64::from_be_bytes(bytes.try_into().ok()?) ^ SIGN).cast_signed()),
    };
    let number = |cell| u32::try_from(long(cell, 0)?).ok();
    Some(StoreMarks {
        registry_id: id.map(|id| String::from_utf8_lossy(&id).into_owned()),
        version: long(version, 0)?.cast_unsigned(),
        project: number(project)?,
        key_set: number(key_set)?,
        field: number(field)?,
        event_clock: Micros(long(event_clock, i64::MIN)?),
    })
}

const SIGN: u64 = 1 << 63;
