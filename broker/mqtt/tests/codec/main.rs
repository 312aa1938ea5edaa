//! The codec from outside: any packet comes back as it went, no input makes it panic, and it agrees
//! with rumqttc's codec.

mod differential_v4;
mod differential_v5;
mod generate;
mod model;
mod robustness;
mod round_trip;
