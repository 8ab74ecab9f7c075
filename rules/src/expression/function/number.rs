//! Functions of numbers.

use super::Function;
use crate::value::Value;

/// Computes a function of numbers; `None` if it is not one, or the arguments are not numbers.
pub(super) fn call(function: Function, arguments: &[Value]) -> Option<Value> {
    let result = match *arguments {
        [Value::Number(x)] => of_one(function, x)?,
        [Value::Number(x), Value::Number(y)] => match function {
            Function::Bit => return Some(bit(x, y).map_or(Value::Null, Value::Bool)),
            Function::Atan2 => libm::atan2(x, y),
            Function::DewPoint => dew_point(x, y),
            Function::MaxOf => x.max(y),
            Function::MinOf => x.min(y),
            Function::Pow => libm::pow(x, y),
            Function::Round => round_digits(x, y),
            _ => return None,
        },
        [Value::Number(x), Value::Number(lowest), Value::Number(highest)] => match function {
            Function::Between => return Some(Value::Bool(lowest <= x && x <= highest)),
            Function::Bits => bits(x, lowest, highest)?,
            Function::Clamp => x.min(highest).max(lowest),
            Function::MaxOf => x.max(lowest).max(highest),
            Function::MinOf => x.min(lowest).min(highest),
            _ => return None,
        },
        [Value::Number(lat1), Value::Number(lon1), Value::Number(lat2), Value::Number(lon2)]
            if function == Function::DistanceM =>
        {
            distance_m((lat1, lon1), (lat2, lon2))
        }
        _ => of_many(function, arguments)?,
    };
    Some(Value::finite(result))
}

fn of_one(function: Function, x: f64) -> Option<f64> {
    Some(match function {
        Function::Abs => x.abs(),
        Function::Acos => libm::acos(x),
        Function::Asin => libm::asin(x),
        Function::Atan => libm::atan(x),
        Function::Ceil => x.ceil(),
        Function::Cos => libm::cos(x),
        Function::Degrees => x.to_degrees(),
        Function::Exp => libm::exp(x),
        Function::Floor => x.floor(),
        Function::Ln => libm::log(x),
        Function::Log10 => libm::log10(x),
        Function::Log2 => libm::log2(x),
        Function::MaxOf | Function::MinOf | Function::Number => x,
        Function::Radians => x.to_radians(),
        Function::Round => x.round(),
        Function::Sign if x == 0.0 => 0.0,
        Function::Sign => x.signum(),
        Function::Sin => libm::sin(x),
        Function::Sqrt => x.sqrt(),
        Function::Tan => libm::tan(x),
        Function::Trunc => x.trunc(),
        _ => return None,
    })
}

fn of_many(function: Function, arguments: &[Value]) -> Option<f64> {
    let max = match function {
        Function::MaxOf => true,
        Function::MinOf => false,
        _ => return None,
    };
    let mut result: Option<f64> = None;
    for value in arguments {
        let Value::Number(x) = *value else { return None };
        result = Some(result.map_or(x, |known| if max { known.max(x) } else { known.min(x) }));
    }
    result
}

/// Rounds half away from zero; a negative number of digits rounds to tens, hundreds and so on.
fn round_digits(x: f64, digits: f64) -> f64 {
    let digits = digits.round().clamp(-300.0, 300.0);
    if digits < 0.0 {
        let unit = 10f64.powi(-digits as i32);
        return (x / unit).round() * unit;
    }
    let scale = 10f64.powi(digits as i32);
    let rounded = (x * scale).round() / scale;
    // So large that it has no digits there, or the scale overflows.
    if rounded.is_finite() { rounded } else { x }
}

/// A whole number of which every bit is known.
pub(super) fn whole(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() <= WHOLE_MAX).then_some(x as i64)
}

fn bit(x: f64, number: f64) -> Option<bool> {
    let (x, number) = (whole(x)?, whole(number).filter(|number| (0..BITS).contains(number))?);
    Some((x >> number) & 1 == 1)
}

/// Some bits of a whole number, as a number; not a number if there are no such bits.
fn bits(x: f64, from: f64, count: f64) -> Option<f64> {
    let found = (|| {
        let (x, from, count) = (whole(x)?, whole(from)?, whole(count)?);
        let fits = (0..BITS).contains(&from) && (1..=BITS).contains(&count);
        fits.then(|| ((x >> from) & ((1 << count) - 1)) as f64)
    })();
    Some(found.unwrap_or(f64::NAN))
}

/// Metres between two places in degrees, on a sphere (haversine).
fn distance_m((lat1, lon1): (f64, f64), (lat2, lon2): (f64, f64)) -> f64 {
    let half = |degrees: f64| {
        let sine = libm::sin(degrees.to_radians() / 2.0);
        sine * sine
    };
    let cosines = libm::cos(lat1.to_radians()) * libm::cos(lat2.to_radians());
    let part = half(lat2 - lat1) + cosines * half(lon2 - lon1);
    2.0 * EARTH_M * libm::asin(part.clamp(0.0, 1.0).sqrt())
}

/// Dew point in Celsius from temperature and relative humidity in percent (Magnus formula over
/// water, coefficients of WMO guide no. 8).
fn dew_point(celsius: f64, percent: f64) -> f64 {
    let gamma = libm::log(percent / 100.0) + MAGNUS_B * celsius / (MAGNUS_C + celsius);
    MAGNUS_C * gamma / (MAGNUS_B - gamma)
}

/// 2^53: up to here each whole number has its own floating-point number.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
const BITS: i64 = 53;
/// Mean radius of the Earth.
const EARTH_M: f64 = 6_371_008.8;
const MAGNUS_B: f64 = 17.62;
const MAGNUS_C: f64 = 243.12;
