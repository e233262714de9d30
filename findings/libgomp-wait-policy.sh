#!/usr/bin/env bash
# One would guess that `OMP_WAIT_POLICY = 'PASSIVE'`, as OMP_DISPLAY_ENV prints it, says that idle threads sleep.
# What happens: libgomp prints PASSIVE where nothing is set as well, though its threads then spin 300,000 times before they sleep;
# only a PASSIVE that somebody set makes that 0. The two are told apart by GOMP_SPINCOUNT alone, which `true` does not
# print and `verbose` does.
# Version: the libgomp of OpenMP 4.5 that scikit-learn 1.7.2's Linux wheel brings. Source: `initialize_env` and
# `handle_omp_display_env` in GCC's libgomp/env.c.
# Why it matters: a training step beside other work took several times its CPU time in spinning, on a machine whose printout
# said that it would not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps scikit-learn==1.7.2
library=$(find "$folder/venv" -name 'libgomp-*.so*' | head -1)
printed() { # of a setting: the policy and the number of spins
    env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT OMP_NUM_THREADS=2 OMP_DISPLAY_ENV=verbose $1 \
        "$folder/venv/bin/python" -c "import ctypes, sys; ctypes.CDLL(sys.argv[1])" "$library" 2>&1 \
        | sed -n "s/.*\(OMP_WAIT_POLICY\|GOMP_SPINCOUNT\) = '\(.*\)'/\2/p" | paste -sd' '
}
nothing=$(printed "")
passive=$(printed "OMP_WAIT_POLICY=passive")
echo "scikit-learn 1.7.2, $(basename "$library")"
echo "nothing set:             $nothing"
echo "OMP_WAIT_POLICY=passive: $passive"
if [ "$nothing" != "PASSIVE 300000" ] || [ "$passive" != "PASSIVE 0" ]; then
    echo "the behaviour is another one now"
    exit 1
fi
