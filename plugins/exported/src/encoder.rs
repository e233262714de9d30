//! The encoder `exported`: one training program in the four modes of an encoder.

use crate::{
    config::ExportedEncoder,
    graph::{
        Program, Role as InputRole, ValueId,
        aliases::{Writes, writes},
        expression::Symbols,
        imagewise::for_views,
        modes::{check_is_for_training, for_evaluation},
        sizes::{Sized, bind},
    },
    names::{self, LEFT_OUT},
    opened::Opened,
    run::{copy, fits, run, run_views, shown},
    weights::State,
};
use infomax_sdk::{
    Device, Encoder, EncoderDescription, EncoderInput, Error, FeatureMap, Mode, NamedTensor, Result, Tensor,
    nn::channels_last, no_grad,
};

/// A network out of a file.
pub struct ExportedNetwork {
    device: Device,
    /// Whether images lie channels-last.
    images_last: bool,
    config: ExportedEncoder,
    /// The names of all outputs.
    outputs: Vec<String>,
    state: State,
    training: Program,
    /// The same for several views in one pass, where that is the same.
    joined: Option<Program>,
    /// What a training call writes to.
    training_writes: Writes,
    evaluation: Program,
    evaluation_writes: Writes,
}

const ONE_INPUT: &str = "an encoder's `forward` takes one tensor, the images: B×3×H×W";

impl Encoder for ExportedNetwork {
    type Config = ExportedEncoder;

    fn describe(config: &ExportedEncoder, input: &EncoderInput) -> Result<EncoderDescription> {
        describe(&Opened::open(&config.file, "encoder")?, config, input).map(|(description, _)| description)
    }

    fn create(config: &ExportedEncoder, input: &EncoderInput, device: Device) -> Result<Self> {
        let mut opened = Opened::open(&config.file, "encoder")?;
        let (_, outputs) = describe(&opened, config, input)?;
        let training_writes = opened.settle_views()?;
        let evaluation = for_evaluation(&opened.program).map_err(|error| opened.placed(error))?;
        let images_last = config.channels_last && !training_writes.through_views;
        let Opened { mut archive, program: training, tables, .. } = opened;
        let mut state = State::read(&mut archive, &tables, device, images_last)?;
        state.save_changed(&training, &training_writes);
        // Joining changes the rounding, which is not wanted where PyTorch's is repeated.
        let joined = if images_last { for_views(&training)? } else { None };
        let evaluation_writes = writes(&evaluation);
        Ok(Self {
            joined,
            outputs,
            images_last,
            device,
            config: config.clone(),
            state,
            training,
            training_writes,
            evaluation,
            evaluation_writes,
        })
    }

    fn forward(&mut self, views: &[Tensor], mode: Mode) -> Result<Vec<Vec<Tensor>>> {
        let mut maps = Vec::with_capacity(views.len());
        for alike in views.chunk_by(|one, other| one.size() == other.size()) {
            match &self.joined {
                Some(_) if alike.len() > 1 && mode != Mode::Evaluate => maps.extend(self.several(alike, mode)?),
                _ => maps.extend(alike.iter().map(|view| self.one(view, mode)).collect::<Result<Vec<_>>>()?),
            }
        }
        Ok(maps)
    }

    fn tensors(&self) -> Vec<NamedTensor> {
        self.state.named(&self.config.tags)
    }
}

impl ExportedNetwork {
    /// The maps of one view.
    fn one(&self, view: &Tensor, mode: Mode) -> Result<Vec<Tensor>> {
        let program = if mode == Mode::Evaluate { &self.evaluation } else { &self.training };
        let images = view.size_of(0);
        let (view, is_padded) = match mode {
            Mode::Evaluate => self.padded(view)?,
            _ => (view.clone(), false),
        };
        let outcome = run(program, self.device, self.handed(program, &view, mode))?;
        if moves(mode) {
            self.keep(&outcome.stores);
        }
        let maps = self.used(outcome.outputs);
        Ok(if is_padded { maps.map(|map| map.narrow(0, 0, images)).collect() } else { maps.collect() })
    }

    /// The maps of several views of one size, in one pass.
    fn several(&self, views: &[Tensor], mode: Mode) -> Result<Vec<Vec<Tensor>>> {
        let Some(program) = &self.joined else { return Err(Error::new("there is no program for several views")) };
        let count = views.len() as i64;
        check(&self.training, &views[0].size())?;
        let handed = self.handed(program, &Tensor::join(views), mode);
        let outcome = run_views(program, self.device, handed, count)?;
        let mut of_views: Vec<Vec<Tensor>> = views.iter().map(|_| Vec::new()).collect();
        for map in self.used(outcome.outputs) {
            of_views.iter_mut().zip(map.chunk(count, 0)).for_each(|(view, part)| view.push(part));
        }
        Ok(of_views)
    }

    /// What a program takes, in order.
    fn handed(&self, program: &Program, images: &Tensor, mode: Mode) -> Vec<Option<Tensor>> {
        let writes = if mode == Mode::Evaluate { &self.evaluation_writes } else { &self.training_writes };
        let all = program.inputs.iter().zip(writes.inputs.iter().zip(&writes.stores));
        let one = all.map(|(input, (&is_written, &is_stored))| match &input.role {
            InputRole::Argument { .. } => {
                let laid = if self.images_last { channels_last(images) } else { images.contiguous() };
                Some(if is_written { copy(&laid) } else { laid })
            }
            role => {
                // The backward pass reads what a buffer held, after the call has given it something else.
                let own = self.state.of(role);
                own.map(|tensor| if is_stored || (is_written && !moves(mode)) { copy(tensor) } else { tensor.clone() })
            }
        });
        one.collect()
    }

    /// Images that the file does not allow so many of, as the last batch of a dataset may have, with the last one repeated until
    /// it does: each is evaluated by itself.
    fn padded(&self, view: &Tensor) -> Result<(Tensor, bool)> {
        const FURTHEST: i64 = 256;
        let size = view.size();
        let Err(refusal) = check(&self.evaluation, &size) else { return Ok((view.clone(), false)) };
        let with = |images: i64| [&[images], &size[1..]].concat();
        let more = (size[0] + 1..=size[0] + FURTHEST).find(|&images| check(&self.evaluation, &with(images)).is_ok());
        let more = more.ok_or(refusal)?;
        let last = view.narrow(0, size[0] - 1, 1).expand([&[more - size[0]], &size[1..]].concat());
        Ok((Tensor::cat(&[view.clone(), last], 0), true))
    }

    /// The maps that are used, each of four dimensions.
    fn used(&self, outputs: Vec<Option<Tensor>>) -> impl Iterator<Item = Tensor> + '_ {
        let named = outputs.into_iter().flatten().zip(&self.outputs);
        let used = named.filter(|(_, name)| *name != LEFT_OUT).map(|(map, _)| map);
        used.map(|map| if map.rank() == 2 { map.unsqueeze(-1).unsqueeze(-1) } else { map })
    }

    fn keep(&self, stores: &[(ValueId, Tensor)]) {
        for (buffer, new) in stores {
            let input = self.training.inputs.iter().find(|input| input.value == Some(*buffer));
            if let Some(own) = input.and_then(|input| self.state.of(&input.role)) {
                no_grad(|| drop(own.copy_(new)));
            }
        }
    }
}

/// Whether buffers move in a mode.
fn moves(mode: Mode) -> bool {
    matches!(mode, Mode::Train | Mode::RefreshStatistics)
}

/// Makes sure that the file allows images of a size.
fn check(program: &Program, size: &[i64]) -> Result<()> {
    let name = program.arguments().next().map(|(name, ..)| name).unwrap_or_default();
    fits(program, &[(name, size.to_vec())])
}

/// The description, and the names of all outputs.
fn describe(
    opened: &Opened,
    config: &ExportedEncoder,
    input: &EncoderInput,
) -> Result<(EncoderDescription, Vec<String>)> {
    let program = &opened.program;
    let placed = |error: Error| opened.placed(error);
    let arguments: Vec<_> = program.arguments().collect();
    let [(name, ..)] = arguments[..] else {
        return Err(placed(Error::config(format!("it takes {} tensors", arguments.len())).hint(ONE_INPUT)));
    };
    check_is_for_training(program).map_err(placed)?;
    for_evaluation(program).map_err(placed)?;
    names::check_tags(&config.tags, opened.tables.trained())?;
    let given = program.given_sizes();
    if given.is_empty() {
        return Err(placed(Error::config("it gives no tensor").hint("return the features from `forward`")));
    }
    let names = names::outputs(&config.outputs, &opened.about.outputs, program.structure.as_deref(), given.len())?;
    let mut sizes: Vec<[u32; 2]> =
        input.views.iter().map(|view| [view.height, view.width]).chain([input.eval_size]).collect();
    sizes.dedup();
    let mut maps: Vec<FeatureMap> = Vec::new();
    for size in sizes {
        for &images in input.batch_sizes.iter().filter(|_| input.views.iter().any(|v| [v.height, v.width] == size)) {
            let given = [images as i64, 3, size[0].into(), size[1].into()];
            check(program, &given).map_err(placed)?;
        }
        let of_size = of_size(program, name, &names, &given, size).map_err(placed)?;
        let differs = maps.iter().zip(&of_size).find(|(one, other)| one != other);
        if let Some((one, other)) = differs {
            let shape = |map: &FeatureMap| shown(&[map.channels.into(), map.height.into(), map.width.into()]);
            let message = format!(
                "its map `{}` is {} for one size of image and {} for another",
                one.name,
                shape(one),
                shape(other)
            );
            return Err(placed(Error::config(message)).hint("give all views and the evaluated image one size"));
        }
        maps = of_size;
    }
    let chosen =
        config.representation.as_ref().or(opened.about.representation.as_ref().filter(|_| config.outputs.is_empty()));
    let last = maps.last().map(|map| map.name.clone()).unwrap_or_default();
    let representation = chosen.cloned().unwrap_or(last);
    if !maps.iter().any(|map| map.name == representation) {
        let message = format!("`representation` is `{representation}`, its outputs are {}", names.join(", "));
        return Err(placed(Error::config(message)));
    }
    let description = EncoderDescription {
        maps,
        representation,
        parameter_count: opened.tables.parameter_count(),
        activation_bytes: program.value_bytes,
    };
    Ok((description, names))
}

/// The maps for images of a size; the smallest batch that the file allows stands for all.
fn of_size(
    program: &Program,
    name: &str,
    names: &[String],
    given: &[&Sized],
    [height, width]: [u32; 2],
) -> Result<Vec<FeatureMap>> {
    let declared = program.arguments().next().map(|(_, sizes, ..)| sizes.clone()).unwrap_or_default();
    let image = [3, i64::from(height), i64::from(width)];
    let with = |batch: i64| [batch].into_iter().chain(image).collect::<Vec<_>>();
    // A batch of the file's own choice: what else does not fit is the image's size.
    let batch = (1..=64).find(|&batch| fits(program, &[(name, with(batch))]).is_ok()).unwrap_or(2);
    fits(program, &[(name, with(batch))])?;
    let mut symbols = Symbols::new();
    let _ = bind(&declared, &with(batch), &mut symbols);
    let map = |(name, sizes): (&String, &&Sized)| {
        let known: Vec<Option<i64>> =
            sizes.iter().map(|size| size.as_ref().and_then(|size| size.value(&symbols))).collect();
        let numbers = |from: usize| {
            known[from..].iter().map(|n| n.and_then(|n| u32::try_from(n).ok())).collect::<Option<Vec<u32>>>()
        };
        let wrong = |what: String| Error::config(format!("its output `{name}` {what}"));
        let [channels, height, width] = match known.len() {
            2 | 4 => match numbers(1).as_deref() {
                Some(&[channels]) => [channels, 1, 1],
                Some(&[channels, height, width]) => [channels, height, width],
                _ => return Err(wrong("has a size that depends on more than the images' size".to_owned())),
            },
            3 => {
                let hint = "an encoder gives B×C or B×C×H×W: return the class token or the mean over tokens";
                return Err(wrong("has three dimensions, as tokens B×N×C have".to_owned()).hint(hint));
            }
            rank => return Err(wrong(format!("has {rank} dimensions")).hint("an encoder gives B×C or B×C×H×W")),
        };
        if known[0] != Some(batch) {
            return Err(
                wrong("does not have an image to a row".to_owned()).hint("the first dimension must be the batch")
            );
        }
        Ok(FeatureMap { name: name.clone(), channels, height, width })
    };
    names.iter().zip(given).filter(|(name, _)| *name != LEFT_OUT).map(map).collect()
}
