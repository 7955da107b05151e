//! Equipment for tests: a private Redis server, a store that fails on demand, rows made from a few numbers.

mod faulty;
mod races;
mod redis_server;
mod rows;

pub use faulty::{Fault, Faulty};
pub use races::racing_writers_end_with_the_greatest_stamp;
pub use redis_server::RedisServer;
pub use rows::{TestRow, deadline, key, steady_clock, test_layout};
