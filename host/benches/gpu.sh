#!/usr/bin/env bash
# Packs what a machine with a GPU needs to measure infomax, where Python has torch 2.11.0 with CUDA but nothing can be built:
#
#     host/benches/gpu.sh [FOLDER]        # after `cargo build --release --workspace`; 35 MiB
#     bash FOLDER/run.sh [ARGUMENTS]      # there: doctor, then `infomax bench` beside bench_step.py; results in FOLDER
#
# ARGUMENTS go to `infomax bench`; without them it measures the published models on the first GPU, without and with CUDA graphs, and
# with the largest batch that fits.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
to=${1:-$root/target/gpu}
shared=${INFOMAX_SHARED:-$root/../shared}
mkdir -p "$to"
for file in infomax infomax-engine libinfomax_amdim.so libinfomax_augmentations.so libinfomax_datasets.so libinfomax_encoders.so libinfomax_losses.so; do
    strip -o "$to/$file" "$root/target/release/$file"
done
cp "$shared/reference/bench_step.py" "$shared/reference/amdim_torch.py" "$to"
cat > "$to/run.sh" <<'RUN'
#!/usr/bin/env bash
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${INFOMAX_PYTHON:-python3}
site=$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent.parent)')
libraries=$site/torch/lib
for folder in "$site"/nvidia/*/lib; do libraries=$libraries:$folder; done
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
[ $# -gt 0 ] || set -- --device cuda --largest
cd "$here"
./infomax doctor || true
./infomax bench "$@" --peer bench_step.py --python "$(command -v "$python")" --json bench.json | tee bench.txt
RUN
du -sh "$to"
