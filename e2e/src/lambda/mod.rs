//! AWS Lambda around a function's binary: the Runtime API it polls, the deadline that kills it, the freeze between
//! invocations and the wall clock that has moved when it thaws.
//!
//! The crate `lambda-simulator` has the API and the freezing, but neither kills at the deadline nor moves clocks.
//!
//! | Module | Holds |
//! |---|---|
//! | [`function`] | one execution environment: start, invoke, freeze, thaw, kill |
//! | [`clock`] | a wall clock that jumps while the monotonic one does not |
//! | [`http_event`] | API Gateway events (payload 2.0) and the answers to them |
//! | [`msk_event`] | the events of the event source mapping |

pub mod clock;
pub mod function;
pub mod http_event;
pub mod msk_event;

pub use clock::WallClock;
pub use function::{Environment, FunctionOptions, InvocationError, InvocationResult};
pub use http_event::{HttpAnswer, HttpEvent};
