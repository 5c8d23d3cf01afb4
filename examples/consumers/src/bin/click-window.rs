//! The process of the windows of clicks.

use std::process::ExitCode;

use msk_consumer_examples::click_window::ClickWindow;

fn main() -> ExitCode {
    msk_consumer::main_with(ClickWindow::from_env)
}
