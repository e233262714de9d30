#!/usr/bin/env bash
# One would guess that a signal's handler may run at any time while libtorch computes: the kernel writes its frame below the
# stack pointer of the thread that it interrupts, which is that thread's stack.
# What happens: oneDNN's generated kernels for products in f32 (`gemm:jit`, which grouped convolutions and small products use)
# point the stack pointer at their workspace on the heap where the inner dimension is long. A frame written there, of about three
# kilobytes with AVX-512, lies over whatever is before the workspace. Here the handler has a stack of its own (SA_ONSTACK), writes
# nothing, and counts how often the stack pointer that it interrupts is off the thread's stack.
# Version: torch 2.11.0 (oneDNN 3.10), x86-64 with AVX-512 or AVX. Source: the label `buffer_in_ws` of
# cpu/x64/gemm/f32/jit_avx512_common_gemm_f32.cpp and jit_avx_gemm_f32.cpp.
# Why it matters: a program that handles SIGTERM to save its state may lose it just then, or save weights that were written over;
# of runs that were asked to end in their first updates, one in a hundred crashed. Handlers need SA_ONSTACK and threads a stack
# for them, or better a thread of their own, with signals held in all that compute; the same holds for timers and profilers by
# signals.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.2.6 torch==2.11.0
cat > "$folder/watch.c" <<'CODE'
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>

static char other_stack[1 << 17];
static pthread_t watched;
static unsigned long low, high;
static volatile long on, off;

static void tick(int signal, siginfo_t *facts, void *context) {
  if (!pthread_equal(pthread_self(), watched)) return;
  unsigned long pointer = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
  if (low <= pointer && pointer < high) on++; else off++;
}

void begin(void) {
  pthread_attr_t attributes;
  void *start;
  size_t size;
  watched = pthread_self();
  pthread_getattr_np(watched, &attributes);
  pthread_attr_getstack(&attributes, &start, &size);
  low = (unsigned long)start, high = low + size;
  stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
  sigaltstack(&stack, 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = tick;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigaction(SIGVTALRM, &action, 0);
  struct itimerval every = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_VIRTUAL, &every, 0);
}

void counts(long *found) { found[0] = on, found[1] = off, on = off = 0; }
CODE
cc -O1 -shared -fPIC "$folder/watch.c" -o "$folder/watch.so" -pthread
"$folder/venv/bin/python" - "$folder/watch.so" <<'PYTHON'
import ctypes
import sys
import time

import torch

torch.set_num_threads(1)
watch = ctypes.CDLL(sys.argv[1])
watch.begin()
found = (ctypes.c_long * 2)()


def ticks(operation):
    operation()
    watch.counts(found)
    until = time.process_time() + 2
    while time.process_time() < until:
        operation()
    watch.counts(found)
    return found[0], found[1]


print("torch", torch.__version__, "·", torch.backends.cpu.get_cpu_capability())
seen = {}
for channels in (6, 600):
    maps, weights = torch.ones(2, 3 * channels, 9, 9), torch.ones(30, channels, 3, 3)
    inner = 9 * channels
    left, right = torch.ones(64, inner), torch.ones(inner, 256)
    for name, operation in {
        "oneDNN's convolution in three groups": lambda: torch.conv2d(maps, weights, groups=3),
        "MKL's product": lambda: left @ right,
    }.items():
        on, off = seen[name, channels] = ticks(operation)
        print(f"{name}, sums over {inner}: {on} ticks on the thread's stack, {off} off it")
assert seen["oneDNN's convolution in three groups", 600][1] > 0, "no longer: long sums keep the stack pointer on the stack"
assert all(seen[name, channels][1] == 0 for name, channels in seen if channels == 6 or "MKL" in name)
assert all(sum(both) > 20 for both in seen.values()), "too few ticks to say anything"
PYTHON
