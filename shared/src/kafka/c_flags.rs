//! The flags without which cmake builds a librdkafka that never notices dead brokers (librdkafka#5282). The crate's build script
//! has this file too.

/// What `CFLAGS` must hold while librdkafka is compiled by cmake.
pub(super) const FLAGS: [&str; 2] = ["-DHAVE_ATOMICS_32_ATOMIC=1", "-DHAVE_ATOMICS_64_ATOMIC=1"];

/// Whether one of them is missing from the flags that cmake has kept of its build, in the text of its `CMakeCache.txt`.
#[cfg_attr(not(test), allow(dead_code, reason = "the build script calls it"))]
pub(super) fn are_missing(cmake_cache: &str) -> bool {
    let flags = cmake_cache.lines().find(|line| line.starts_with("CMAKE_C_FLAGS:"));
    let flags = flags.and_then(|line| line.split_once('=')).map_or("", |(_, flags)| flags);
    !FLAGS.iter().all(|wanted| flags.split_whitespace().any(|flag| flag == *wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_the_c_compiler_count_and_no_others() {
        let both = "-DHAVE_ATOMICS_32_ATOMIC=1 -DHAVE_ATOMICS_64_ATOMIC=1";
        for (cache, missing) in [
            (format!("A:B=C\nCMAKE_C_FLAGS:STRING= -w {both} -fPIC\n"), false),
            (format!("CMAKE_C_FLAGS:UNINITIALIZED={both}\r\n"), false),
            ("CMAKE_C_FLAGS:STRING= -w -DHAVE_ATOMICS_32_ATOMIC=1\n".to_owned(), true),
            ("CMAKE_C_FLAGS:STRING= -DHAVE_ATOMICS_32_ATOMIC=0 -DHAVE_ATOMICS_64_ATOMIC=1\n".to_owned(), true),
            (format!("CMAKE_CXX_FLAGS:STRING={both}\nCMAKE_C_FLAGS:STRING=\n"), true),
            (format!("CMAKE_C_FLAGS_RELEASE:STRING={both}\n"), true),
            (String::new(), true),
        ] {
            assert_eq!(are_missing(&cache), missing, "{cache}");
        }
    }
}
