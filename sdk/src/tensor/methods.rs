//! The one table of methods: their names, PyTorch's operator and overload behind each, and what is passed where that is not
//! the method's own arguments in order. The host's tests look every row up in the real libtorch.

use super::{Argument, Device, Dims, Kind, MemoryFormat, Number, Operand, Tensor, Tensors, Value, call::Operator};
use std::borrow::Borrow;

/// Rows of the table. `name(arguments) = "operator" "overload";` passes the tensor and the arguments in order; values in
/// brackets at the end are passed instead.
macro_rules! operators {
    ($(
        $(#[$doc:meta])*
        $method:ident($($argument:ident: $type:ty),*) = $name:literal $overload:literal $([$($value:expr),* $(,)?])?;
    )*) => {
        impl Tensor { $(
            $(#[$doc])*
            #[allow(clippy::too_many_arguments, reason = "as many as PyTorch's")]
            #[track_caller]
            pub fn $method(&self $(, $argument: $type)*) -> Tensor {
                static OPERATOR: Operator = Operator::new($name, $overload);
                operators!(@call OPERATOR, self, [$($argument),*] $(, [$($value),*])?)
            }
        )* }

        const METHODS: &[(&str, &str)] = &[$(($name, $overload)),*];
    };
    (@call $operator:ident, $tensor:expr, [$($argument:ident),*]) => {
        $operator.one(&[$tensor.value() $(, $argument.value())*])
    };
    (@call $operator:ident, $tensor:expr, [$($argument:ident),*], [$($value:expr),*]) => {
        $operator.one(&[$tensor.value() $(, $value.value())*])
    };
}

/// Rows whose last argument is a tensor or a number, which decides the overload.
macro_rules! either {
    ($(
        $(#[$doc:meta])*
        $method:ident($($argument:ident: $type:ty,)* | $last:ident) = $name:literal $tensor:literal $scalar:literal;
    )*) => {
        impl Tensor { $(
            $(#[$doc])*
            #[track_caller]
            pub fn $method<O: Operand>(&self $(, $argument: $type)*, $last: O) -> Tensor {
                static TENSOR: Operator = Operator::new($name, $tensor);
                static SCALAR: Operator = Operator::new($name, $scalar);
                let operator = if O::IS_TENSOR { &TENSOR } else { &SCALAR };
                operator.one(&[self.value() $(, $argument.value())*, $last.value()])
            }
        )* }

        const EITHER: &[(&str, &str, &str)] = &[$(($name, $tensor, $scalar)),*];
    };
}

/// Rows that make a tensor out of none; the kind and the device are last.
macro_rules! makers {
    ($(
        $(#[$doc:meta])*
        $method:ident($($argument:ident: $type:ty),*) = $name:literal $overload:literal;
    )*) => {
        impl Tensor { $(
            $(#[$doc])*
            #[track_caller]
            pub fn $method($($argument: $type,)* kind: Kind, device: Device) -> Tensor {
                static OPERATOR: Operator = Operator::new($name, $overload);
                OPERATOR.one(&[$($argument.value(),)* kind.value(), Value::NONE, device.value()])
            }
        )* }

        const MAKERS: &[(&str, &str)] = &[$(($name, $overload)),*];
    };
}

operators! {
    /// |x|.
    abs() = "aten::abs" "";
    /// e^x.
    exp() = "aten::exp" "";
    /// e^x, in place.
    exp_() = "aten::exp_" "";
    /// e^x − 1.
    expm1() = "aten::expm1" "";
    /// The natural logarithm.
    log() = "aten::log" "";
    /// log(1 + x).
    log1p() = "aten::log1p" "";
    /// √x.
    sqrt() = "aten::sqrt" "";
    /// 1 / √x.
    rsqrt() = "aten::rsqrt" "";
    /// x².
    square() = "aten::square" "";
    /// x², in place.
    square_() = "aten::square_" "";
    /// 1 / x.
    reciprocal() = "aten::reciprocal" "";
    /// −x, in place.
    neg_() = "aten::neg_" "";
    /// The sine.
    sin() = "aten::sin" "";
    /// The cosine.
    cos() = "aten::cos" "";
    /// The hyperbolic tangent.
    tanh() = "aten::tanh" "";
    /// The hyperbolic tangent, in place.
    tanh_() = "aten::tanh_" "";
    /// 1 / (1 + e^−x).
    sigmoid() = "aten::sigmoid" "";
    /// log(1 / (1 + e^−x)).
    log_sigmoid() = "aten::log_sigmoid" "";
    /// max(0, x).
    relu() = "aten::relu" "";
    /// max(0, x), in place.
    relu_() = "aten::relu_" "";
    /// x·Φ(x), exact.
    gelu() = "aten::gelu" "";
    /// x·sigmoid(x).
    silu() = "aten::silu" "";
    /// x where positive, `slope`·x elsewhere.
    leaky_relu(slope: f64) = "aten::leaky_relu" "";
    /// log(1 + e^x).
    softplus() = "aten::softplus" "";
    /// −x·log x, 0 at 0.
    special_entr() = "aten::special_entr" "";
    /// The sign: −1, 0 or 1.
    sign() = "aten::sign" "";
    /// Rounded down.
    floor() = "aten::floor" "";
    /// Neither infinite nor not a number.
    isfinite() = "aten::isfinite" "";
    /// Not a number.
    isnan() = "aten::isnan" "";
    /// Neither.
    logical_not() = "aten::logical_not" "";
    /// The same numbers outside of the graph: no gradient passes.
    detach() = "aten::detach" "";
    /// A copy of the numbers (PyTorch's `clone`); gradients pass.
    copy() = "aten::clone" "";
    /// A copy of the numbers, contiguous, for work in place.
    alias_copy() = "aten::alias_copy" "";

    /// Of all numbers.
    sum() = "aten::sum" "";
    /// Over some dimensions.
    sum_dim(dims: impl Dims, keepdim: bool) = "aten::sum" "dim_IntList";
    /// Of all numbers.
    mean() = "aten::mean" "";
    /// Over some dimensions.
    mean_dim(dims: impl Dims, keepdim: bool) = "aten::mean" "dim";
    /// Over some dimensions; by n − 1 where `unbiased`.
    var_dim(dims: impl Dims, unbiased: bool, keepdim: bool) = "aten::var" "dim";
    /// Over some dimensions; by n − 1 where `unbiased`.
    std_dim(dims: impl Dims, unbiased: bool, keepdim: bool) = "aten::std" "dim";
    /// Of all numbers.
    max() = "aten::max" "";
    /// Of all numbers.
    min() = "aten::min" "";
    /// The largest over some dimensions; equal ones share the gradient.
    amax(dims: impl Dims, keepdim: bool) = "aten::amax" "";
    /// The smallest over some dimensions; equal ones share the gradient.
    amin(dims: impl Dims, keepdim: bool) = "aten::amin" "";
    /// The position of the largest along a dimension.
    argmax(dim: i64, keepdim: bool) = "aten::argmax" "";
    /// Sums of everything up to each place.
    cumsum(dim: i64) = "aten::cumsum" "";
    /// The product over a dimension.
    prod_dim(dim: i64, keepdim: bool) = "aten::prod" "dim_int";
    /// log Σ e^x over some dimensions, without overflow.
    logsumexp(dims: impl Dims, keepdim: bool) = "aten::logsumexp" "";
    /// The p-norm over some dimensions (`torch.norm`).
    norm(p: f64, dims: impl Dims, keepdim: bool) = "aten::norm" "ScalarOpt_dim";
    /// The norm over one dimension (of vectors) or two (of matrices).
    linalg_norm(order: f64, dims: impl Dims, keepdim: bool) = "aten::linalg_norm" "";
    /// Of all numbers: whether any is true.
    any() = "aten::any" "";
    /// Of all numbers: whether all are true.
    all() = "aten::all" "";
    /// The singular values of a matrix, the largest first.
    linalg_svdvals() = "aten::linalg_svdvals" "";
    /// The lower triangular factor of a positive definite matrix.
    linalg_cholesky() = "aten::linalg_cholesky" "";
    /// X with self·X = `b`, for a triangular matrix.
    linalg_solve_triangular(b: &Tensor, upper: bool) = "aten::linalg_solve_triangular" "";

    /// The same numbers in another shape, without a copy; −1 stands for what is left.
    view(shape: impl Dims) = "aten::view" "";
    /// The same numbers in another shape; −1 stands for what is left.
    reshape(shape: impl Dims) = "aten::reshape" "";
    /// Dimensions in another order.
    permute(dims: impl Dims) = "aten::permute" "";
    /// Two dimensions exchanged.
    transpose(dim0: i64, dim1: i64) = "aten::transpose" "int";
    /// A matrix transposed.
    t() = "aten::t" "";
    /// In order in memory; no copy where it is already.
    contiguous() = "aten::contiguous" "";
    /// In the given order in memory; no copy where it is already.
    contiguous_as(format: MemoryFormat) = "aten::contiguous" "";
    /// A new dimension of size 1.
    unsqueeze(dim: i64) = "aten::unsqueeze" "";
    /// Without a dimension of size 1.
    squeeze(dim: i64) = "aten::squeeze" "dim";
    /// Some dimensions as one.
    flatten(start_dim: i64, end_dim: i64) = "aten::flatten" "using_ints";
    /// Dimensions of size 1 as larger ones, without a copy.
    expand(shape: impl Dims) = "aten::expand" "";
    /// Copied so often along each dimension.
    repeat(times: impl Dims) = "aten::repeat" "";
    /// Each place so often along a dimension, one after the other.
    repeat_interleave(times: i64, dim: i64) = "aten::repeat_interleave" "self_int";
    /// A part of a dimension: so many from a start.
    narrow(dim: i64, start: i64, length: i64) = "aten::narrow" "";
    /// One place of a dimension, which goes away.
    select(dim: i64, index: i64) = "aten::select" "int";
    /// A part of a dimension: from a start to an end, every so many.
    slice(dim: i64, start: i64, end: i64, step: i64) = "aten::slice" "Tensor";
    /// The diagonal of two dimensions, as the last one.
    diagonal(offset: i64, dim1: i64, dim2: i64) = "aten::diagonal" "";
    /// Without what lies above the diagonal.
    tril(diagonal: i64) = "aten::tril" "";
    /// Without what lies below the diagonal.
    triu(diagonal: i64) = "aten::triu" "";
    /// In the opposite order along some dimensions.
    flip(dims: impl Dims) = "aten::flip" "";
    /// Moved along some dimensions, around the end.
    roll(shifts: impl Dims, dims: impl Dims) = "aten::roll" "";

    /// Places of a dimension by their numbers.
    index_select(dim: i64, index: &Tensor) = "aten::index_select" "";
    /// One number for each of `index`'s, from along a dimension.
    gather(dim: i64, index: &Tensor) = "aten::gather" "";
    /// With a number written at `index`'s places along a dimension.
    scatter_value(dim: i64, index: &Tensor, value: impl Number) = "aten::scatter" "value";
    /// With `source` added at `index`'s places of a dimension, in place.
    index_add_(dim: i64, index: &Tensor, source: &Tensor) = "aten::index_add_" "";
    /// With `source` written at `index`'s places of a dimension, in place.
    index_copy_(dim: i64, index: &Tensor, source: &Tensor) = "aten::index_copy_" "";

    /// The product of two matrices.
    mm(other: &Tensor) = "aten::mm" "";
    /// The products of two lists of matrices.
    bmm(other: &Tensor) = "aten::bmm" "";
    /// The product of vectors, matrices or lists of them.
    matmul(other: &Tensor) = "aten::matmul" "";
    /// x·Wᵀ + b.
    linear(weight: &Tensor, bias: Option<&Tensor>) = "aten::linear" "";
    /// A convolution of N × C × H × W with O × C × K × K.
    conv2d(weight: &Tensor, bias: Option<&Tensor>, stride: impl Dims, padding: impl Dims) = "aten::conv2d" "";
    /// A convolution whose channels are in groups.
    conv2d_grouped(weight: &Tensor, bias: Option<&Tensor>, stride: impl Dims, padding: impl Dims, dilation: impl Dims, groups: i64) = "aten::conv2d" "";
    /// p-norm distances of two lists of vectors.
    cdist(other: &Tensor, p: f64) = "aten::cdist" "";

    /// Σ = 1 along a dimension.
    softmax(dim: i64) = "aten::softmax" "int";
    /// The logarithm of [`Tensor::softmax`].
    log_softmax(dim: i64) = "aten::log_softmax" "int";
    /// The cosine with another tensor along a dimension.
    cosine_similarity(other: &Tensor, dim: i64, eps: f64) = "aten::cosine_similarity" "";
    /// The mean squared difference.
    mse_loss(target: &Tensor) = "aten::mse_loss" "";
    /// The mean cross-entropy of N × C scores with N classes, or with N × C shares.
    cross_entropy(target: &Tensor) = "aten::cross_entropy_loss" "";
    /// The mean binary cross-entropy of scores with targets from 0 to 1.
    binary_cross_entropy_with_logits(target: &Tensor) = "aten::binary_cross_entropy_with_logits" "";
    /// By the statistics of the batch (`training`) or by running ones, which training moves; see `nn::BatchNorm`.
    batch_norm(weight: Option<&Tensor>, bias: Option<&Tensor>, running_mean: Option<&Tensor>, running_var: Option<&Tensor>, training: bool, momentum: f64, eps: f64) = "aten::batch_norm" "" [weight, bias, running_mean, running_var, training, momentum, eps, true];
    /// Over the last dimensions, whose sizes are given.
    layer_norm(shape: impl Dims, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) = "aten::layer_norm" "";
    /// Over groups of channels.
    group_norm(groups: i64, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) = "aten::group_norm" "";
    /// The largest of each window.
    max_pool2d(width: impl Dims, stride: impl Dims, padding: impl Dims) = "aten::max_pool2d" "";
    /// The mean of each window.
    avg_pool2d(width: impl Dims, stride: impl Dims) = "aten::avg_pool2d" "";
    /// The mean of windows that fill a size.
    adaptive_avg_pool2d(size: impl Dims) = "aten::adaptive_avg_pool2d" "";
    /// Mirrored at the edges: left, right, top, bottom.
    reflection_pad2d(padding: impl Dims) = "aten::reflection_pad2d" "";
    /// Zeros at the edges: left, right, top, bottom, …
    constant_pad(padding: impl Dims, value: impl Number) = "aten::constant_pad_nd" "";
    /// Attention of these queries to keys and values: B × heads × N × C.
    scaled_dot_product_attention(key: &Tensor, value: &Tensor) = "aten::scaled_dot_product_attention" "";
    /// N × C × H × W of another size, by cubic interpolation with anti-aliasing.
    upsample_bicubic2d_aa(size: impl Dims, align_corners: bool) = "aten::_upsample_bicubic2d_aa" "";

    /// Of another kind; no copy where it is of that kind already.
    to_kind(kind: Kind) = "aten::to" "dtype";
    /// On another device; no copy where it lies there already.
    to_device(device: Device) = "aten::to" "dtype_layout" [Value::DEFAULT, Value::DEFAULT, device];
    /// The same bytes as another kind.
    view_kind(kind: Kind) = "aten::view" "dtype";
    /// From below and above.
    clamp(min: impl Number, max: impl Number) = "aten::clamp" "";
    /// From below.
    clamp_min(min: impl Number) = "aten::clamp_min" "";
    /// From above.
    clamp_max(max: impl Number) = "aten::clamp_max" "";
    /// The larger of two.
    maximum(other: &Tensor) = "aten::maximum" "";
    /// The smaller of two.
    minimum(other: &Tensor) = "aten::minimum" "";
    /// log(e^x + e^y).
    logaddexp(other: &Tensor) = "aten::logaddexp" "";
    /// Both.
    logical_and(other: &Tensor) = "aten::logical_and" "";
    /// One of them.
    logical_or(other: &Tensor) = "aten::logical_or" "";
    /// Bit by bit, in place.
    bitwise_xor_(other: &Tensor) = "aten::bitwise_xor_" "Tensor";

    /// Everything 0, in place.
    zero_() = "aten::zero_" "";
    /// Everything one number, in place.
    fill_(value: impl Number) = "aten::fill_" "Scalar";
    /// With another tensor's numbers, in place.
    copy_(source: &Tensor) = "aten::copy_" "";
    /// self + a·b, in place.
    addcmul_(a: &Tensor, b: &Tensor) = "aten::addcmul_" "";
    /// self + value·a·b, in place.
    addcmul_value_(a: &Tensor, b: &Tensor, value: f64) = "aten::addcmul_" "";
    /// self + alpha·other, in place.
    add_alpha_(other: &Tensor, alpha: f64) = "aten::add_" "Tensor";
    /// self + weight·(end − self).
    lerp(end: &Tensor, weight: f64) = "aten::lerp" "Scalar";
    /// self + weight·(end − self), in place.
    lerp_(end: &Tensor, weight: f64) = "aten::lerp_" "Scalar";
    /// Uniform draws, in place.
    uniform_(from: f64, to: f64) = "aten::uniform_" "";
    /// Normal draws, in place.
    normal_(mean: f64, std: f64) = "aten::normal_" "";
    /// 1 with a probability, 0 otherwise, in place.
    bernoulli_(p: f64) = "aten::bernoulli_" "float";

    /// Of the same shape, kind and device.
    zeros_like() = "aten::zeros_like" "";
    /// Of the same shape, kind and device.
    ones_like() = "aten::ones_like" "";
    /// Of the same shape, kind and device.
    full_like(value: impl Number) = "aten::full_like" "";
    /// Uniform draws of the same shape, kind and device.
    rand_like() = "aten::rand_like" "";
    /// Normal draws of the same shape, kind and device.
    randn_like() = "aten::randn_like" "";
}

either! {
    /// Where equal.
    eq(| other) = "aten::eq" "Tensor" "Scalar";
    /// Where different.
    ne(| other) = "aten::ne" "Tensor" "Scalar";
    /// Where less.
    lt(| other) = "aten::lt" "Tensor" "Scalar";
    /// Where less or equal.
    le(| other) = "aten::le" "Tensor" "Scalar";
    /// Where greater.
    gt(| other) = "aten::gt" "Tensor" "Scalar";
    /// Where greater or equal.
    ge(| other) = "aten::ge" "Tensor" "Scalar";
    /// A power.
    pow(| exponent) = "aten::pow" "Tensor_Tensor" "Tensor_Scalar";
    /// What a division leaves, with the divisor's sign.
    remainder(| divisor) = "aten::remainder" "Tensor" "Scalar";
    /// What a division leaves, in place.
    remainder_(| divisor) = "aten::remainder_" "Tensor" "Scalar";
    /// Another number where the mask holds.
    masked_fill(mask: &Tensor, | value) = "aten::masked_fill" "Tensor" "Scalar";
    /// Another number where the mask holds, in place.
    masked_fill_(mask: &Tensor, | value) = "aten::masked_fill_" "Tensor" "Scalar";
    /// A sum, in place.
    add_(| other) = "aten::add_" "Tensor" "Scalar";
    /// A difference, in place.
    sub_(| other) = "aten::sub_" "Tensor" "Scalar";
    /// A product, in place.
    mul_(| other) = "aten::mul_" "Tensor" "Scalar";
    /// A quotient, in place.
    div_(| other) = "aten::div_" "Tensor" "Scalar";
}

makers! {
    /// Zeros.
    zeros(shape: impl Dims) = "aten::zeros" "";
    /// Ones.
    ones(shape: impl Dims) = "aten::ones" "";
    /// One number.
    full(shape: impl Dims, value: impl Number) = "aten::full" "";
    /// Whatever lies in memory.
    empty(shape: impl Dims) = "aten::empty" "memory_format";
    /// Uniform draws from 0 to 1, by libtorch's generator.
    rand(shape: impl Dims) = "aten::rand" "";
    /// Normal draws, by libtorch's generator.
    randn(shape: impl Dims) = "aten::randn" "";
    /// start, start + 1, … below end.
    arange(start: impl Number, end: impl Number) = "aten::arange" "start";
    /// Ones on the diagonal of rows × columns.
    eye(rows: i64, columns: i64) = "aten::eye" "m";
}

const LISTS: &[(&str, &str)] =
    &[("aten::chunk", ""), ("aten::split", "Tensor"), ("aten::unbind", "int"), ("aten::cat", ""), ("aten::stack", "")];

impl Tensor {
    /// Any operator by its name, `aten::name` or `aten::name.overload`, that gives one tensor; arguments in the order of its
    /// schema, [`Value::DEFAULT`] for a default in between. [`call`](super::call) is for other results.
    #[track_caller]
    pub fn op(name: &str, arguments: &[&dyn Argument]) -> Tensor {
        super::call(name, arguments).tensor()
    }

    /// These numbers where the condition holds, `other`'s elsewhere (PyTorch's `where`).
    #[track_caller]
    pub fn where_else(&self, condition: &Tensor, other: &Tensor) -> Tensor {
        static OPERATOR: Operator = Operator::new("aten::where", "self");
        OPERATOR.one(&[condition.value(), self.value(), other.value()])
    }

    /// Tensors one after the other along the first dimension, as `cat` gives; without a copy where they lie so in memory
    /// already, as views of one size that the host hands to an encoder do.
    #[track_caller]
    pub fn join<T: Borrow<Tensor>>(parts: &[T]) -> Tensor {
        static OPERATOR: Operator = Operator::new("infomax::join", "");
        OPERATOR.one(&[Tensors::lend(parts).value()])
    }

    /// So many parts of a dimension, without a copy.
    #[track_caller]
    pub fn chunk(&self, parts: i64, dim: i64) -> Vec<Tensor> {
        static OPERATOR: Operator = Operator::new("aten::chunk", "");
        OPERATOR.list(&[self.value(), parts.value(), dim.value()])
    }

    /// Parts of a size of a dimension, the last one smaller, without a copy.
    #[track_caller]
    pub fn split(&self, size: i64, dim: i64) -> Vec<Tensor> {
        static OPERATOR: Operator = Operator::new("aten::split", "Tensor");
        OPERATOR.list(&[self.value(), size.value(), dim.value()])
    }

    /// Every place of a dimension, which goes away, without a copy.
    #[track_caller]
    pub fn unbind(&self, dim: i64) -> Vec<Tensor> {
        static OPERATOR: Operator = Operator::new("aten::unbind", "int");
        OPERATOR.list(&[self.value(), dim.value()])
    }

    /// Tensors one after the other along a dimension.
    #[track_caller]
    pub fn cat<T: Borrow<Tensor>>(tensors: &[T], dim: i64) -> Tensor {
        static OPERATOR: Operator = Operator::new("aten::cat", "");
        OPERATOR.one(&[Tensors::lend(tensors).value(), dim.value()])
    }

    /// Tensors of one shape side by side along a new dimension.
    #[track_caller]
    pub fn stack<T: Borrow<Tensor>>(tensors: &[T], dim: i64) -> Tensor {
        static OPERATOR: Operator = Operator::new("aten::stack", "");
        OPERATOR.one(&[Tensors::lend(tensors).value(), dim.value()])
    }

    /// The largest along a dimension, and where it lies.
    #[track_caller]
    pub fn max_dim(&self, dim: i64, keepdim: bool) -> [Tensor; 2] {
        static OPERATOR: Operator = Operator::new("aten::max", "dim");
        OPERATOR.several(&[self.value(), dim.value(), keepdim.value()])
    }

    /// The `k` largest along a dimension in order, and where they lie.
    #[track_caller]
    pub fn topk(&self, k: i64, dim: i64) -> [Tensor; 2] {
        static OPERATOR: Operator = Operator::new("aten::topk", "");
        OPERATOR.several(&[self.value(), k.value(), dim.value()])
    }

    /// The lower factor L of A = L·Lᵀ, in one step with whether there is one: a whole number, 0 where A is positive definite.
    /// Unlike `linalg_cholesky` this does not wait for a GPU to know.
    #[track_caller]
    pub fn linalg_cholesky_ex(&self) -> [Tensor; 2] {
        static OPERATOR: Operator = Operator::new("aten::linalg_cholesky_ex", "");
        OPERATOR.several(&[self.value()])
    }

    /// Eigenvalues in order and eigenvectors of a symmetric matrix.
    #[track_caller]
    pub fn linalg_eigh(&self) -> [Tensor; 2] {
        static OPERATOR: Operator = Operator::new("aten::linalg_eigh", "");
        OPERATOR.several(&[self.value()])
    }

    /// Products and sums by Einstein's notation: `Tensor::einsum("bd,cd->bc", &[&x, &y])`.
    #[track_caller]
    pub fn einsum<T: Borrow<Tensor>>(equation: &str, tensors: &[T]) -> Tensor {
        static OPERATOR: Operator = Operator::new("aten::einsum", "");
        OPERATOR.one(&[equation.value(), Tensors::lend(tensors).value()])
    }

    /// Each vector along a dimension divided by its 2-norm; one of zeros stays one, with a finite gradient
    /// (`torch.nn.functional.normalize`).
    #[track_caller]
    pub fn normalize(&self, dim: i64) -> Tensor {
        const SMALLEST_NORM: f64 = 1e-12; // PyTorch's default
        self / self.norm(2.0, dim, true).clamp_min(SMALLEST_NORM)
    }
}

/// Every operator behind a method, name and overload: what a host must have.
pub fn operators() -> Vec<(&'static str, &'static str)> {
    const SEVERAL: [(&str, &str); 14] = [
        ("aten::where", "self"),
        ("aten::max", "dim"),
        ("aten::topk", ""),
        ("aten::linalg_cholesky_ex", ""),
        ("aten::_foreach_add_", "Scalar"),
        ("infomax::batch_norm_views", ""),
        ("infomax::batch_norm_relu", ""),
        ("infomax::batch_norm_relu_conv2d", ""),
        ("infomax::add_average_pooled_", ""),
        ("infomax::add_bias_", ""),
        ("infomax::join", ""),
        ("aten::_foreach_lerp_", "Scalar"),
        ("aten::linalg_eigh", ""),
        ("aten::einsum", ""),
    ];
    const DRAWS: [&str; 4] = ["aten::randint", "aten::rand", "aten::randn", "aten::randperm"];
    const ARITHMETIC: [&str; 4] = ["aten::add", "aten::sub", "aten::mul", "aten::div"];
    let either = EITHER.iter().flat_map(|&(name, tensor, scalar)| [(name, tensor), (name, scalar)]);
    let arithmetic = ARITHMETIC.into_iter().flat_map(|name| [(name, "Tensor"), (name, "Scalar")]);
    let plain = METHODS.iter().chain(MAKERS).chain(LISTS).copied();
    plain
        .chain(SEVERAL)
        .chain(DRAWS.map(|name| (name, "generator")))
        .chain(either)
        .chain(arithmetic)
        .chain([("aten::rsub", "Scalar"), ("aten::neg", "")])
        .collect()
}
