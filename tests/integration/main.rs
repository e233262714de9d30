
mod config_faults;
