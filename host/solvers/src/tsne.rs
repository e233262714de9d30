use bhtsne::{Neighbor, tSNE};

/// How points are laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub perplexity: f32,
    pub learning_rate: f32,
    pub early_exaggeration: f32,
    /// Of Barnes and Hut: 0 is exact.
    pub theta: f32,
}

/// x and y of each point in turn, of as many as there are lists of neighbours, from where they start. One thread adds up, since sums of
/// several depend on who comes first.
///
/// # Errors
/// No thread to be had.
pub fn lay_out(
    start: Vec<f32>,
    neighbours: &[Vec<Neighbor<f32>>],
    layout: Layout,
) -> Result<Vec<f32>, rayon::ThreadPoolBuildError> {
    let points = vec![(); neighbours.len()];
    let fit = || {
        let mut tsne: tSNE<'_, f32, (), 2> = tSNE::new(&points);
        tsne.perplexity(layout.perplexity).learning_rate(layout.learning_rate);
        tsne.early_exaggeration(layout.early_exaggeration).initial_embedding(start);
        tsne.barnes_hut_with_neighbors(layout.theta, neighbours).embedding()
    };
    Ok(rayon::ThreadPoolBuilder::new().num_threads(1).build()?.install(fit))
}
