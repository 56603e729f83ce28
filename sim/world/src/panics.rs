//! Panics inside a run: caught, reported as violations, and kept off the terminal.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::Once;

thread_local! {
    /// The last panic of a run on this thread; `None` on threads that run nothing.
    static NOTE: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// From here on, panics on this thread are noted instead of printed.
pub(crate) fn note_on_this_thread() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let noted = NOTE.try_with(|note| match &mut *note.borrow_mut() {
                Some(last) => {
                    *last = Some(describe(info));
                    true
                }
                None => false,
            });
            if !noted.unwrap_or(false) {
                others(info);
            }
        }));
    });
    NOTE.with(|note| *note.borrow_mut() = Some(None));
}

/// The last panic noted on this thread: its message and its place.
pub(crate) fn take() -> String {
    NOTE.with(|note| note.borrow_mut().as_mut().and_then(Option::take))
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    match info.location() {
        Some(at) => format!("{message} ({}:{})", place(at.file()), at.line()),
        None => message.to_owned(),
    }
}

/// The file without what depends on where the project, or a library, lies on this machine.
fn place(file: &str) -> &str {
    if !file.starts_with('/') {
        return file;
    }
    let start = file.rmatch_indices('/').nth(3).map_or(0, |(at, _)| at + 1);
    &file[start..]
}
