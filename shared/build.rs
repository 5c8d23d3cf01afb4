//! Tells the compiler (`librdkafka_lacks_flags`) that librdkafka was compiled without the flags that it needs to notice dead brokers.

use std::path::Path;

#[path = "src/kafka/c_flags.rs"]
mod c_flags;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(librdkafka_lacks_flags)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/kafka/c_flags.rs");
    // Where rdkafka-sys has built librdkafka; without the feature `kafka` nowhere.
    let Some(folder) = std::env::var_os("DEP_RDKAFKA_ROOT") else { return };
    // Only cmake leaves this file. librdkafka's own `configure` finds the flags out by itself.
    let cache = Path::new(&folder).join("build/CMakeCache.txt");
    let Ok(text) = std::fs::read_to_string(&cache) else { return };
    println!("cargo::rerun-if-changed={}", cache.display());
    if c_flags::are_missing(&text) {
        println!("cargo::rustc-cfg=librdkafka_lacks_flags");
    }
}
