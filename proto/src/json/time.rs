//! RFC 3339 on the stack: the same text as [`Micros`]'s `Display`, without its allocation.

use tidegate_catalog::Micros;

/// Room for `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
pub(super) const RFC_3339_BYTES: usize = 27;

/// Writes `instant` into `buffer`; `None` outside the years 0 to 9999, which RFC 3339 cannot say.
pub(super) fn rfc3339(instant: Micros, buffer: &mut [u8; RFC_3339_BYTES]) -> Option<&str> {
    const DAY_US: i64 = 86_400_000_000;
    let (days, of_day) = (instant.0.div_euclid(DAY_US), instant.0.rem_euclid(DAY_US));
    let (year, month, day) = civil(days);
    if !(0..=9_999).contains(&year) {
        return None;
    }
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    let mut at = 0;
    put(buffer, &mut at, year, 4, b'-');
    put(buffer, &mut at, month, 2, b'-');
    put(buffer, &mut at, day, 2, b'T');
    put(buffer, &mut at, seconds / 3_600, 2, b':');
    put(buffer, &mut at, seconds / 60 % 60, 2, b':');
    match fraction {
        0 => put(buffer, &mut at, seconds % 60, 2, b'Z'),
        _ => {
            put(buffer, &mut at, seconds % 60, 2, b'.');
            if fraction % 1_000 == 0 {
                put(buffer, &mut at, fraction / 1_000, 3, b'Z');
            } else {
                put(buffer, &mut at, fraction, 6, b'Z');
            }
        }
    }
    std::str::from_utf8(buffer.get(..at)?).ok()
}

/// Appends `value` in `digits` digits and then `after`.
fn put(buffer: &mut [u8; RFC_3339_BYTES], at: &mut usize, mut value: i64, digits: usize, after: u8) {
    let Some(place) = buffer.get_mut(*at..=*at + digits) else { return };
    for (index, byte) in place.iter_mut().rev().enumerate() {
        if index == 0 {
            *byte = after;
        } else {
            *byte = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
    *at += digits + 1;
}

/// Year, month and day of a count of days since 1970, by eras of 400 years that begin in March (the proleptic
/// Gregorian calendar): the leap day is then the last of its year and month lengths follow one line.
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // 0000-03-01
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}
