//! RFC 3339 on the stack: the same text as [`Micros`]'s `Display`, without its allocation.

use tidegate_catalog::Micros;

/// Room for `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
pub(super) const RFC_3339_BYTES: usize = 27;

/// Writes `instant` into `buffer`; `None` outside the years 0 to 9999, which RFC 3339 cannot say.
/// # Cost
/// Divisions by constants, no loop: a wide answer of the Feast face has one of these for every value.
pub(super) fn rfc3339(instant: Micros, buffer: &mut [u8; RFC_3339_BYTES]) -> Option<&[u8]> {
    const DAY_US: i64 = 86_400_000_000;
    let (days, of_day) = (instant.0.div_euclid(DAY_US), instant.0.rem_euclid(DAY_US));
    let (year, month, day) = civil(days);
    if !(0..=9_999).contains(&year) {
        return None;
    }
    let (seconds, fraction) = ((of_day / 1_000_000) as u32, (of_day % 1_000_000) as u32);
    let ([y1, y2], [y3, y4]) = (two(year as u32 / 100), two(year as u32 % 100));
    let ([mo1, mo2], [d1, d2]) = (two(month as u32), two(day as u32));
    let ([h1, h2], [mi1, mi2], [s1, s2]) = (two(seconds / 3_600), two(seconds / 60 % 60), two(seconds % 60));
    let ([f1, f2], [f3, f4], [f5, f6]) = (two(fraction / 10_000), two(fraction / 100 % 100), two(fraction % 100));
    *buffer = [
        y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T', h1, h2, b':', mi1, mi2, b':', s1, s2, b'.', f1, f2, f3, f4,
        f5, f6, b'Z',
    ];
    let length = match fraction {
        0 => 20,
        _ if fraction.is_multiple_of(1_000) => 24,
        _ => RFC_3339_BYTES,
    };
    let text = buffer.get_mut(..length)?;
    if let Some(last) = text.last_mut() {
        *last = b'Z';
    }
    Some(text)
}

/// The two digits of a number below 100.
const fn two(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
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
