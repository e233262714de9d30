//! What a component can leave changed of libtorch's own state and of the process, by calling libtorch itself.

#[cfg(feature = "libtorch")]
mod libtorch {
    use infomax_sdk::Tensor;

    // at::autocast's own function: tch can't switch autocast on for a CPU.
    unsafe extern "C" {
        #[link_name = "_ZN2at8autocast20set_autocast_enabledEN3c1010DeviceTypeEb"]
        fn set_autocast_enabled(device_type: i8, enabled: bool);
    }

    /// Switches autocast on for the CPU.
    pub fn autocast_on() {
        // SAFETY: sets a value of this thread; 0 is c10::DeviceType::CPU, an i8.
        unsafe { set_autocast_enabled(0, true) };
    }

    /// Switches gradient tracking off.
    pub fn no_grad() {
        std::mem::forget(tch::no_grad_guard());
    }

    /// One thread more.
    pub fn threads() {
        tch::set_num_threads(tch::get_num_threads() + 1);
    }

    /// A tensor that holds nothing at all.
    pub fn undefined() -> Tensor {
        let empty = std::mem::ManuallyDrop::new(tch::Tensor::new());
        // SAFETY: the handle is live, and given up by its owner.
        unsafe { Tensor::from_handle(empty.as_ptr().cast_mut().cast()) }
    }

    /// An exception of libtorch that becomes a panic.
    pub fn panic_in_libtorch() {
        let matrix = tch::Tensor::ones([2, 3], (tch::Kind::Float, tch::Device::Cpu));
        drop(matrix.matmul(&matrix));
    }

    /// Changes what a process has once: libtorch's draws, threads and modes, the working directory, the locale, a signal's
    /// handler.
    pub fn change_globals() {
        tch::manual_seed(99);
        drop(tch::Tensor::rand([7], (tch::Kind::Float, tch::Device::Cpu)));
        threads();
        no_grad();
        autocast_on();
        std::env::set_current_dir("/").expect("the root is there");
        // SAFETY: a locale that every C library has, and a handler that does nothing.
        unsafe {
            libc::setlocale(libc::LC_ALL, c"C.UTF-8".as_ptr());
            libc::signal(libc::SIGINT, libc::SIG_IGN);
        }
    }
}

#[cfg(feature = "libtorch")]
pub use libtorch::{autocast_on, change_globals, no_grad, panic_in_libtorch, threads, undefined};

#[cfg(not(feature = "libtorch"))]
mod without {
    const WITHOUT: &str = "this fault needs the feature `libtorch`";

    pub fn autocast_on() {
        panic!("{WITHOUT}");
    }

    pub fn no_grad() {
        panic!("{WITHOUT}");
    }

    pub fn threads() {
        panic!("{WITHOUT}");
    }

    pub fn undefined() -> infomax_sdk::Tensor {
        panic!("{WITHOUT}");
    }

    pub fn panic_in_libtorch() {
        panic!("{WITHOUT}");
    }

    pub fn change_globals() {
        panic!("{WITHOUT}");
    }
}

#[cfg(not(feature = "libtorch"))]
pub use without::{autocast_on, change_globals, no_grad, panic_in_libtorch, threads, undefined};
