//! Nearest neighbours: a test image takes the class that its nearest labelled images vote for.
//!
//! Shapes: N images of the bank · Q queries · D channels · C classes · K neighbours.
//!
//! # Source
//! Wu et al. 2018 (arXiv:1805.01978), section 3.4: cosine similarity, votes weighed exp(similarity / temperature). A common
//! factor changes no vote, so the weights are exp((similarity − the query's largest) / temperature): from 0 to 1 at any
//! temperature, where the plain ones would overflow.

use tch::{Kind, TchError, Tensor};

const QUERIES: i64 = 500; // at a time: with a bank of 50,000 their similarities take 100 MB
/// Similarities in f32 are some 1e-7 off, and a temperature divides that: below this one the neighbours' are taken anew in f64.
const FINE: f64 = 0.02;
/// A bank whose similarities to a query differ by less is one point, as after a collapse: rounding does not choose neighbours.
const ONE_POINT: f64 = 1e-5;
const FINE_NUMBERS: i64 = 1 << 22; // of neighbours at a time: 32 MB in f64

/// Labelled representations that vote.
pub struct Neighbours {
    /// As they came, and with length 1.
    bank_nd: Tensor,
    unit_nd: Tensor,
    labels_n: Tensor,
    classes: i64,
    k: i64,
    temperature: f64,
}

impl Neighbours {
    /// A bank of representations (N, D) with labels (N) in 0..classes.
    ///
    /// # Errors
    /// libtorch's.
    pub fn new(bank_nd: &Tensor, labels_n: &Tensor, classes: i64, k: u64, temperature: f64) -> Result<Self, TchError> {
        let k = (k as i64).min(bank_nd.size()[0]);
        let (bank_nd, unit_nd) = (bank_nd.shallow_clone(), unit(bank_nd)?);
        Ok(Self { bank_nd, unit_nd, labels_n: labels_n.shallow_clone(), classes, k, temperature })
    }

    /// How many queries (Q, D) take the class of their labels (Q).
    ///
    /// # Errors
    /// libtorch's.
    pub fn correct(&self, queries_qd: &Tensor, labels_q: &Tensor) -> Result<i64, TchError> {
        let count = queries_qd.size()[0];
        let mut correct = 0;
        for start in (0..count).step_by(QUERIES as usize) {
            let length = QUERIES.min(count - start);
            let class_q = self.classify(&queries_qd.f_narrow(0, start, length)?)?;
            let right = class_q.f_eq_tensor(&labels_q.f_narrow(0, start, length)?)?;
            correct += right.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        }
        Ok(correct)
    }

    /// The class of every query (Q, D), a part of them at a time, so that memory stays bounded: (Q).
    ///
    /// # Errors
    /// libtorch's.
    pub fn classify_all(&self, queries_qd: &Tensor) -> Result<Tensor, TchError> {
        let count = queries_qd.size()[0];
        let part = |start: i64| self.classify(&queries_qd.f_narrow(0, start, QUERIES.min(count - start))?);
        let parts: Vec<Tensor> = (0..count).step_by(QUERIES as usize).map(part).collect::<Result<_, _>>()?;
        Tensor::f_cat(&parts, 0)
    }

    /// The class that each query's neighbours vote for, (Q).
    ///
    /// # Errors
    /// libtorch's.
    pub fn classify(&self, queries_qd: &Tensor) -> Result<Tensor, TchError> {
        let similarity_qn = unit(queries_qd)?.f_matmul(&self.unit_nd.f_transpose(0, 1)?)?;
        let range_q1 = similarity_qn.f_amax(&[1i64][..], true)?.f_sub(&similarity_qn.f_amin(&[1i64][..], true)?)?;
        let is_point_q1 = range_q1.f_lt(ONE_POINT)?;
        let similarity_qn = similarity_qn.f_masked_fill(&is_point_q1, 1.0)?;
        let (similarity_qk, index_qk) = similarity_qn.f_topk(self.k, 1, true, true)?;
        let similarity_qk = if self.temperature < FINE {
            self.finely(queries_qd, &index_qk)?.f_masked_fill(&is_point_q1, 1.0)?
        } else {
            similarity_qk.f_to_kind(Kind::Double)?
        };
        let class_qk = self.labels_n.f_index_select(0, &index_qk.f_flatten(0, -1)?)?.f_view_as(&index_qk)?;
        let largest_q1 = similarity_qk.f_amax(&[1i64][..], true)?;
        let weight_qk = similarity_qk.f_sub(&largest_q1)?.f_divide_scalar(self.temperature)?.f_exp()?;
        let votes_qc = Tensor::f_zeros([queries_qd.size()[0], self.classes], (Kind::Double, queries_qd.device()))?;
        votes_qc.f_scatter_add(1, &class_qk, &weight_qk)?.f_argmax(1, false)
    }

    /// The similarities of queries with their neighbours in f64, (Q, K).
    fn finely(&self, queries_qd: &Tensor, index_qk: &Tensor) -> Result<Tensor, TchError> {
        let (count, d) = queries_qd.size2()?;
        let most = (FINE_NUMBERS / (self.k * d).max(1)).max(1);
        let mut parts = Vec::new();
        for start in (0..count).step_by(most as usize) {
            let length = most.min(count - start);
            let of = |tensor: &Tensor| tensor.f_narrow(0, start, length);
            let near_kd = self.bank_nd.f_index_select(0, &of(index_qk)?.f_flatten(0, -1)?)?;
            let near_qkd = unit_in(Kind::Double, &near_kd)?.f_view([length, self.k, d])?;
            let query_qd1 = unit_in(Kind::Double, &of(queries_qd)?)?.f_unsqueeze(2)?;
            parts.push(near_qkd.f_bmm(&query_qd1)?.f_squeeze_dim(2)?);
        }
        Tensor::f_cat(&parts, 0)
    }
}

/// The similarities of queries (Q, D) of length 1 with their nearest in a bank (N, D) of length 1, and their places there: both
/// (Q, K), the nearest first, a part of the queries at a time.
///
/// # Errors
/// libtorch's.
pub fn nearest(bank_nd: &Tensor, queries_qd: &Tensor, k: i64) -> Result<(Tensor, Tensor), TchError> {
    let count = queries_qd.size()[0];
    let (mut similarities, mut places) = (Vec::new(), Vec::new());
    for start in (0..count).step_by(QUERIES as usize) {
        let part_qd = queries_qd.f_narrow(0, start, QUERIES.min(count - start))?;
        let (similarity_qk, place_qk) = part_qd.f_matmul(&bank_nd.f_transpose(0, 1)?)?.f_topk(k, 1, true, true)?;
        similarities.push(similarity_qk);
        places.push(place_qk);
    }
    Ok((Tensor::f_cat(&similarities, 0)?, Tensor::f_cat(&places, 0)?))
}

/// Rows of length 1.
///
/// # Errors
/// libtorch's.
pub fn unit(x_nd: &Tensor) -> Result<Tensor, TchError> {
    unit_in(Kind::Float, x_nd)
}

fn unit_in(kind: Kind, x_nd: &Tensor) -> Result<Tensor, TchError> {
    let x_nd = x_nd.f_to_kind(kind)?;
    let length_n1 = x_nd.f_norm_scalaropt_dim(2, &[1i64][..], true)?.f_clamp_min(1e-12)?; // torch's normalize
    x_nd.f_div(&length_n1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_vote_by_weight_not_by_number() {
        // The query lies on one image of class 1; two of class 0 stand at a right angle.
        let bank = Tensor::from_slice(&[5.0f32, 0.0, 0.0, 2.0, 0.0, 3.0]).view([3, 2]);
        let labels = Tensor::from_slice(&[1i64, 0, 0]);
        let query = Tensor::from_slice(&[1.0f32, 0.0]).view([1, 2]);
        let class =
            |k, t| Neighbours::new(&bank, &labels, 2, k, t).unwrap().classify(&query).unwrap().int64_value(&[0]);
        assert_eq!(class(3, 0.1), 1, "e^10 against 2");
        assert_eq!(class(3, 100.0), 0, "nearly equal weights: two against one");
        assert_eq!(class(1, 100.0), 1);
        assert_eq!(class(500, 0.1), 1, "a bank smaller than k");
    }

    /// Votes by the formula with no shift of any kind, in logarithms: log Σ exp(similarity / T) of each class.
    fn by_the_formula(bank: &[Vec<f64>], labels: &[i64], query: &[f64], k: usize, temperature: f64) -> i64 {
        let unit = |row: &[f64]| {
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.iter().map(|x| x / length).collect::<Vec<_>>()
        };
        let query = unit(query);
        let cosine = |row: &Vec<f64>| unit(row).iter().zip(&query).map(|(x, y)| x * y).sum::<f64>();
        let mut near: Vec<(f64, i64)> = bank.iter().map(cosine).zip(labels.iter().copied()).collect();
        near.sort_by(|one, two| two.0.total_cmp(&one.0));
        let votes = |class| {
            let of_class = near[..k].iter().filter(|(_, label)| *label == class).map(|(s, _)| s / temperature);
            of_class.fold(f64::NEG_INFINITY, |sum: f64, score| {
                let (low, high) = if sum < score { (sum, score) } else { (score, sum) };
                high + (low - high).exp().ln_1p()
            })
        };
        (0..10).max_by(|one, two| votes(*one).total_cmp(&votes(*two)).then(two.cmp(one))).expect("ten classes")
    }

    #[test]
    fn votes_are_those_of_the_formula_in_f64_over_the_whole_range_of_temperatures() {
        let (n, q, d, k) = (600, 200, 24, 50);
        let float = (Kind::Float, tch::Device::Cpu);
        tch::manual_seed(11);
        let labels = Tensor::randint(10, [n], (Kind::Int64, tch::Device::Cpu));
        // Far from the origin, as after a ReLU, so that all similarities are large and near one another.
        let place = |count| Tensor::randn([count, d], float) + 2.0;
        let centres = Tensor::randn([10, d], float);
        let bank = place(n) + centres.index_select(0, &labels) * 0.3;
        let queries = place(q);
        let rows = |tensor: &Tensor| Vec::<Vec<f64>>::try_from(tensor.to_kind(Kind::Double)).unwrap();
        let (bank_rows, query_rows, classes) = (rows(&bank), rows(&queries), Vec::<i64>::try_from(&labels).unwrap());
        let mut distinct = std::collections::BTreeSet::new();
        for temperature in [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 0.03, 0.07, 0.1, 0.5, 1.0, 10.0, 100.0] {
            let found = Neighbours::new(&bank, &labels, 10, k, temperature).unwrap().classify(&queries).unwrap();
            let found = Vec::<i64>::try_from(&found).unwrap();
            let expected: Vec<i64> = query_rows
                .iter()
                .map(|query| by_the_formula(&bank_rows, &classes, query, k as usize, temperature))
                .collect();
            assert_eq!(found, expected, "at {temperature}");
            distinct.insert(found);
        }
        assert!(distinct.len() > 3, "the temperature matters");
    }

    #[test]
    fn a_set_that_is_separable_stays_so_at_the_lowest_temperature() {
        let labels = Tensor::arange(100, (Kind::Int64, tch::Device::Cpu)).remainder(10);
        tch::manual_seed(5);
        let bank =
            labels.one_hot(10).to_kind(Kind::Float) + Tensor::rand([100, 10], (Kind::Float, tch::Device::Cpu)) * 0.1;
        for temperature in [1e-4, 1e-3, 0.01, 0.1] {
            // Sideways too: similarities of −1 and less than 0 vanish where others overflow.
            for sign in [1.0, -1.0] {
                let right = Neighbours::new(&(&bank * sign), &labels, 10, 5, temperature).unwrap();
                assert_eq!(right.correct(&(&bank * sign), &labels).unwrap(), 100, "at {temperature}");
                let far = Neighbours::new(&bank, &labels, 10, 5, temperature).unwrap().classify(&(-&bank)).unwrap();
                assert!(
                    Vec::<i64>::try_from(&far).unwrap().iter().any(|class| *class > 0),
                    "votes vanish at {temperature}"
                );
            }
        }
    }
}
