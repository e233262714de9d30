//! Checkpoints under faults: processes killed at any operation and any byte of a write (`kills`), files damaged afterwards
//! (`damage`), full and failing disks (`disk`), lost power (`power`), which ones stay (`retention`), values that must not be saved
//! and files of other formats (`contents`).

mod contents;
mod damage;
mod disk;
mod kills;
mod power;
mod retention;
mod small;
