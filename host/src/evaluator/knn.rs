//! Nearest neighbours: a test image takes the class that its nearest labelled images vote for.
//!
//! Shapes: N images of the bank · Q queries · D channels · K classes · k neighbours.
//!
//! # Source
//! Wu et al. 2018 (arXiv:1805.01978), section 3.4: cosine similarity, votes weighed exp(similarity / temperature).

use tch::{Kind, TchError, Tensor};

const QUERIES: i64 = 500; // at a time: with a bank of 50,000 their similarities take 100 MB

/// Labelled representations that vote.
pub struct Neighbours {
    bank_nd: Tensor,
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
        Ok(Self { bank_nd: unit(bank_nd)?, labels_n: labels_n.shallow_clone(), classes, k, temperature })
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
        let similarity_qn = unit(queries_qd)?.f_matmul(&self.bank_nd.f_transpose(0, 1)?)?;
        let (similarity_qk, index_qk) = similarity_qn.f_topk(self.k, 1, true, true)?;
        let class_qk = self.labels_n.f_index_select(0, &index_qk.f_flatten(0, -1)?)?.f_view_as(&index_qk)?;
        let weight_qk = similarity_qk.f_divide_scalar(self.temperature)?.f_exp()?.f_to_kind(Kind::Double)?;
        let votes_qc = Tensor::f_zeros([queries_qd.size()[0], self.classes], (Kind::Double, queries_qd.device()))?;
        votes_qc.f_scatter_add(1, &class_qk, &weight_qk)?.f_argmax(1, false)
    }
}

/// Rows of length 1.
pub(super) fn unit(x_nd: &Tensor) -> Result<Tensor, TchError> {
    let x_nd = x_nd.f_to_kind(Kind::Float)?;
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
}
