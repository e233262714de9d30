//! Images that stay in memory: read and decoded once, kept as bytes on the processor's side or on a device.
//!
//! In: a stage whose images have one size, and room for them. Out: a [`Resident`], in the order of the stage's positions, that
//! batches are made of. A bad image's place is taken by the same one that would take it otherwise.

use super::{OrderedWorkers, Source, Stage};
use crate::{
    augmentation::{ForeignAugmentation, ForeignBatch},
    error::{Error, Result},
};
use infomax_sdk::{AugmentationDescription, ImageRef, Key};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tch::{Device, Kind, Tensor};

/// Images that a thread reads at once.
const CHUNK: u64 = 64;
const MIB: u64 = 1 << 20;

/// Images in memory; shared by loader threads.
#[derive(Clone)]
pub enum Resident {
    /// On the processor's side: views are made image by image.
    Host(Arc<HostImages>),
    /// On a device: views are made there, in batch.
    Device(Arc<DeviceImages>),
}

/// Images on the processor's side.
pub struct HostImages {
    pixels: Vec<u8>,
    labels: Vec<i64>,
    size: [u32; 2],
}

/// Images on a device, with the augmentation that makes views of them.
pub struct DeviceImages {
    /// M × H × W × 3 bytes, used by one thread at a time.
    images: Mutex<Tensor>,
    labels: Vec<i64>,
    batch: ForeignBatch,
}

/// Where there is room.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub device: Device,
    /// For how much; none where nobody knows.
    pub bytes: Option<u64>,
    /// Whether views are made there in batch, rather than image by image, which is quicker on a CPU.
    pub in_batch: bool,
}

/// What is read, and how.
pub struct Reading<'a> {
    pub source: &'a Source,
    pub stage: &'a Stage,
    pub workers: usize,
    pub deadline: Duration,
    /// Whether to stop: a signal asks for an end.
    pub stop: &'a dyn Fn() -> bool,
}

/// Why a set does not stay in memory, in words that follow "the images can't stay there: ".
pub type Refused = String;

impl Resident {
    /// Reads all images of a stage; the inner result is a refusal.
    ///
    /// # Errors
    /// A bad image, by policy, or a plugin's failure.
    pub fn read(
        reading: &Reading<'_>,
        augmentation: &ForeignAugmentation,
        description: &AugmentationDescription,
        room: Room,
    ) -> Result<Result<Self, Refused>> {
        let first = reading.source.sample(reading.stage, 0)?;
        let size = [first.width, first.height];
        let bytes = reading.stage.len() as u64 * first.pixels.len() as u64;
        if let Some(most) = room.bytes.filter(|most| bytes > *most) {
            let (bytes, most) = (bytes.div_ceil(MIB), most / MIB);
            return Ok(Err(format!("they take {bytes} MiB, and there is room for {most} MiB")));
        }
        if !room.in_batch {
            let mut pixels = Vec::with_capacity(bytes as usize);
            let labels = reading.all(size, |chunk| {
                pixels.extend_from_slice(chunk);
                Ok(())
            })?;
            return Ok(labels.map(|labels| Self::Host(Arc::new(HostImages { pixels, labels, size }))));
        }
        let batch = match ForeignBatch::new(augmentation, description, size) {
            Ok(Some(batch)) => batch,
            Ok(None) => {
                let name = augmentation.name();
                return Ok(Err(format!("the augmentation `{name}` with this config makes no views in batch")));
            }
            Err(error) => return Ok(Err(error.fault().message.clone())),
        };
        let shape = [reading.stage.len() as i64, size[1].into(), size[0].into(), 3];
        let images = match Tensor::f_empty(shape, (Kind::Uint8, room.device)) {
            Ok(images) => images,
            Err(error) => return Ok(Err(said(&error))),
        };
        let mut filled = 0;
        let labels = reading.all(size, |chunk| {
            let mut copy = || {
                let chunk = Tensor::f_from_slice(chunk)?.f_view([-1, shape[1], shape[2], 3])?;
                let count = chunk.size()[0];
                images.f_narrow(0, filled, count)?.f_copy_(&chunk)?;
                filled += count;
                Ok(())
            };
            copy().map_err(Error::torch::<tch::TchError>("put images on the device"))
        })?;
        let labels = match labels {
            Ok(labels) => labels,
            Err(refused) => return Ok(Err(refused)),
        };
        let on_device = DeviceImages { images: Mutex::new(images), labels, batch };
        Ok(on_device.try_out().map(|()| Self::Device(Arc::new(on_device))))
    }

    /// How many bytes the images take.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Host(images) => images.pixels.len() as u64,
            Self::Device(images) => images.lock().numel() as u64,
        }
    }

    /// How many images there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Host(images) => images.labels.len(),
            Self::Device(images) => images.labels.len(),
        }
    }
}

impl Reading<'_> {
    /// Hands the pixels of all images over in the order of their positions, and gives the labels; refuses images of different
    /// sizes.
    fn all(&self, size: [u32; 2], mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<Result<Vec<i64>, Refused>> {
        type Chunk = Result<(Vec<u8>, Vec<i64>), Refused>;
        let length = self.stage.len() as u64;
        let (source, stage) = (self.source.clone(), self.stage.clone());
        let make = move |chunk: u64| -> Result<Chunk> {
            let (mut pixels, mut labels) = (Vec::new(), Vec::new());
            for position in chunk * CHUNK..((chunk + 1) * CHUNK).min(length) {
                let image = source.sample(&stage, position)?;
                if [image.width, image.height] != size {
                    let ([width, height], (split, index)) = (size, stage[position as usize]);
                    let place = source.place(split, index);
                    return Ok(Err(format!(
                        "they differ in size: the first has {width}×{height} pixels, {place} has {}×{}",
                        image.width, image.height
                    )));
                }
                pixels.extend_from_slice(&image.pixels);
                labels.push(image.label);
            }
            Ok(Ok((pixels, labels)))
        };
        let chunks = 0..length.div_ceil(CHUNK);
        let chunks = OrderedWorkers::start(Arc::new(make), chunks, self.workers, 4, self.deadline);
        let mut labels = Vec::with_capacity(length as usize);
        for chunk in chunks {
            match chunk? {
                Ok(_) if (self.stop)() => return Ok(Err("a signal asked for an end".to_owned())),
                Ok((pixels, of_chunk)) => {
                    take(&pixels)?;
                    labels.extend(of_chunk);
                }
                Err(refused) => return Ok(Err(refused)),
            }
        }
        Ok(Ok(labels))
    }
}

impl HostImages {
    /// The image at a position.
    pub fn image(&self, position: u64) -> ImageRef<'_> {
        let [width, height] = self.size;
        let bytes = width as usize * height as usize * 3;
        let start = position as usize * bytes;
        ImageRef { width, height, pixels: &self.pixels[start..start + bytes] }
    }

    /// Its label.
    pub fn label(&self, position: u64) -> i64 {
        self.labels[position as usize]
    }
}

impl DeviceImages {
    /// Where they lie.
    pub fn device(&self) -> Device {
        self.lock().device()
    }

    /// How many numbers hold what is drawn for an image.
    pub fn numbers(&self) -> usize {
        self.batch.numbers()
    }

    /// Draws for the views of an image.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn draw(&self, key: Key, numbers: &mut [f32]) -> Result<()> {
        Ok(self.batch.draw(key, numbers)?)
    }

    /// The label at a position.
    pub fn label(&self, position: u64) -> i64 {
        self.labels[position as usize]
    }

    /// The views of some images, each R × H × W × 3 bytes: their positions (R, i64) and what was drawn for them
    /// (R × [`DeviceImages::numbers`]), both on the device. Nothing here waits for it.
    ///
    /// # Errors
    /// What the plugin says, or libtorch's message.
    pub fn views(&self, positions: &Tensor, numbers: &Tensor) -> Result<Vec<Tensor>> {
        let images = self.lock().f_index_select(0, positions).map_err(Error::torch("take images out of the set"))?;
        Ok(self.batch.views(&images, numbers)?)
    }

    /// Makes the views of one image, so that what the augmentation keeps on the device is there before the first step.
    fn try_out(&self) -> Result<(), Refused> {
        let mut numbers = vec![0.0; self.numbers()];
        self.draw(Key::new(0), &mut numbers).map_err(|error| first_fault(&error))?;
        let device = self.device();
        let positions = Tensor::from_slice(&[0i64]).to_device(device);
        let numbers = Tensor::from_slice(&numbers).view([1, -1]).to_device(device);
        self.views(&positions, &numbers).map(drop).map_err(|error| first_fault(&error))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tensor> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first_fault(error: &Error) -> String {
    error.faults().first().map_or_else(|| error.to_string(), |fault| fault.message.clone())
}

/// libtorch's message without the C++ backtrace behind it.
fn said(error: &tch::TchError) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end().to_owned()
}
