//! The file of the database engine, read without the engine.
//!
//! The engine trusts what it reads once a file is open, and gives up a whole file for one bad
//! page. Here every page is compared with the checksum that the page above it holds: what is
//! handed out was committed exactly so, and what does not match is passed over and counted. The
//! file is only read. How it is laid out is in the engine's own description of its file format 3.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use twox_hash::XxHash3_128;

/// How each file of the engine begins.
pub(crate) const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
/// The version of the engine's format that is known here.
pub(crate) const ENGINE_FORMAT: u8 = 3;

/// A file of the engine, or what is left of one.
#[derive(Debug)]
pub(crate) struct Pages {
    file: File,
    bytes: u64,
}

/// What the first page says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) has_magic: bool,
    /// Nothing but zeros, as far as the file goes.
    pub(crate) is_zero: bool,
    /// Its last user has not closed it.
    pub(crate) is_interrupted: bool,
    /// The version of the engine's format in each of the two slots.
    pub(crate) versions: [u8; 2],
    /// The commits that can be read, the newest first. None in it is a commit without tables.
    pub(crate) commits: Vec<Option<Root>>,
}

/// Where a tree begins, and what its first page must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    page: PageNumber,
    /// None when nobody vouches for the page: then only its form says something.
    checksum: Option<u128>,
    /// Rows of the whole tree.
    pub(crate) rows: u64,
}

/// A table as the file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) root: Option<Root>,
    pub(crate) form: Form,
}

/// What the rows of a table look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) key_bytes: Option<usize>,
    pub(crate) value_bytes: Option<usize>,
    pub(crate) key_type: String,
    pub(crate) value_type: String,
}

/// What a walk through a tree has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) rows: u64,
    pub(crate) pages: u64,
    /// Bytes of the pages that are what they should be.
    pub(crate) bytes: u64,
    pub(crate) bad_pages: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PageNumber(u64);

impl Pages {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }

    /// Length of the file, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn head(&self) -> io::Result<Head> {
        let mut bytes = [0; HEAD_BYTES];
        let there = self.bytes.min(HEAD_BYTES as u64) as usize;
        self.file.read_exact_at(&mut bytes[..there], 0)?;
        let slots = SLOTS.map(|at| &bytes[at..at + SLOT_BYTES]);
        let mut commits: Vec<(u64, Option<Root>)> =
            slots.iter().filter_map(|slot| commit(slot)).collect();
        commits.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        Ok(Head {
            has_magic: bytes.starts_with(&MAGIC),
            is_zero: bytes.iter().all(|byte| *byte == 0),
            is_interrupted: bytes[FLAGS] & FLAG_INTERRUPTED != 0,
            versions: slots.map(|slot| slot[0]),
            commits: commits.into_iter().map(|(_, root)| root).collect(),
        })
    }

    /// The tables below a root, by name, and how the pages were that list them.
    pub(crate) fn tables(&self, root: &Root) -> (BTreeMap<String, Table>, Walk) {
        let mut tables = BTreeMap::new();
        let mut unreadable = 0;
        let mut walk = self.walk(root, None, None, |name, definition| {
            match (std::str::from_utf8(name), table(definition)) {
                (Ok(name), Some(table)) => {
                    tables.insert(name.to_owned(), table);
                }
                _ => unreadable += 1,
            }
        });
        walk.bad_pages += unreadable;
        (tables, walk)
    }

    /// Hands out every row of a table that can be trusted, in the order of the keys.
    pub(crate) fn rows(&self, table: &Table, visit: impl FnMut(&[u8], &[u8])) -> Walk {
        let Some(root) = &table.root else { return Walk::default() };
        self.walk(root, table.form.key_bytes, table.form.value_bytes, visit)
    }

    /// Pages that could be the list of the tables, for a file whose head is gone. Nobody vouches
    /// for the pages themselves, but they vouch for what is below them.
    pub(crate) fn lists_of_tables(&self, names: &[&str]) -> Vec<Root> {
        let mut found = Vec::new();
        let pages = self.bytes.saturating_sub(PAGE_BYTES) / PAGE_BYTES;
        // Pages of the usual size are numbered from zero on, through all regions.
        for page in (0..pages).map(PageNumber) {
            let Some(bytes) = self.page(page) else { continue };
            let Some(leaf) = Leaf::parse(&bytes, None, None) else { continue };
            let is_list = leaf.pairs().all(|(name, definition)| {
                std::str::from_utf8(name).is_ok() && table(definition).is_some()
            });
            let has = |name: &&str| leaf.pairs().any(|(found, _)| found == name.as_bytes());
            if is_list && names.iter().all(has) {
                found.push(Root { page, checksum: None, rows: leaf.count as u64 });
            }
            if found.len() == LISTS_MAX {
                break;
            }
        }
        found
    }

    fn walk(
        &self,
        root: &Root,
        key_bytes: Option<usize>,
        value_bytes: Option<usize>,
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> Walk {
        let mut walk = Walk::default();
        // The pages that are still to be looked at, the next one last.
        let mut waiting = vec![(root.page, root.checksum, 0)];
        while let Some((page, checksum, depth)) = waiting.pop() {
            walk.pages += 1;
            let bytes = self.page(page).unwrap_or_default();
            match bytes.first() {
                Some(&LEAF) => {
                    let leaf = Leaf::parse(&bytes, key_bytes, value_bytes);
                    if let Some(leaf) = leaf.filter(|leaf| is_whole(&bytes[..leaf.end], checksum)) {
                        leaf.pairs().for_each(|(key, value)| visit(key, value));
                        walk.rows += leaf.count as u64;
                        walk.bytes += bytes.len() as u64;
                        continue;
                    }
                }
                Some(&BRANCH) if depth < DEPTH_MAX => {
                    let branch = children(&bytes, key_bytes);
                    let branch = branch.filter(|(end, _)| is_whole(&bytes[..*end], checksum));
                    if let Some((_, children)) = branch {
                        let children = children.into_iter().rev();
                        waiting.extend(children.map(|(page, sum)| (page, Some(sum), depth + 1)));
                        walk.bytes += bytes.len() as u64;
                        continue;
                    }
                }
                _ => {}
            }
            walk.bad_pages += 1;
        }
        walk
    }

    /// The bytes of a page; none when the file does not have it or the disk does not give it.
    fn page(&self, page: PageNumber) -> Option<Vec<u8>> {
        let (offset, bytes) = page.place()?;
        if offset.checked_add(bytes)? > self.bytes {
            return None;
        }
        let mut page = vec![0; usize::try_from(bytes).ok()?];
        self.file.read_exact_at(&mut page, offset).ok()?;
        Some(page)
    }
}

impl PageNumber {
    fn from(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// Where the page begins, and how long it is.
    fn place(self) -> Option<(u64, u64)> {
        let order = self.0 >> ORDER_SHIFT;
        if order > ORDER_MAX {
            return None;
        }
        let index = self.0 & (INDEX_MASK >> order);
        let region = (self.0 >> REGION_SHIFT) & INDEX_MASK;
        let bytes = PAGE_BYTES << order;
        Some((PAGE_BYTES + region * REGION_BYTES + index * bytes, bytes))
    }
}

/// The number and the root of the commit in a slot, if the slot is whole.
fn commit(slot: &[u8]) -> Option<(u64, Option<Root>)> {
    let (content, checksum) = slot.split_at(SLOT_BYTES - CHECKSUM_BYTES);
    let checksum = u128::from_le_bytes(checksum.try_into().ok()?);
    if content[0] != ENGINE_FORMAT || XxHash3_128::oneshot(content) != checksum {
        return None;
    }
    let number = u64::from_le_bytes(content.get(SLOT_NUMBER..SLOT_NUMBER + 8)?.try_into().ok()?);
    let root = if content[1] == 0 { None } else { Some(root(content.get(SLOT_ROOT..)?)?) };
    Some((number, root))
}

fn root(bytes: &[u8]) -> Option<Root> {
    Some(Root {
        page: PageNumber::from(bytes.get(..8)?.try_into().ok()?),
        checksum: Some(u128::from_le_bytes(bytes.get(8..24)?.try_into().ok()?)),
        rows: u64::from_le_bytes(bytes.get(24..32)?.try_into().ok()?),
    })
}

/// The description of a table; none when it is not one.
fn table(bytes: &[u8]) -> Option<Table> {
    let width = |at: usize| -> Option<Option<usize>> {
        let bytes_there = u32_at(bytes, at + 1)?;
        Some((*bytes.get(at)? != 0).then_some(bytes_there))
    };
    if *bytes.first()? != NORMAL_TABLE {
        return None;
    }
    let has_root = *bytes.get(9)? != 0;
    let key_type_bytes = u32_at(bytes, 60)?;
    let types = bytes.get(64..)?;
    let (key_type, value_type) = types.split_at_checked(key_type_bytes)?;
    // Each name of a type comes behind a byte that says whose it is.
    let name = |of: &[u8]| std::str::from_utf8(of.get(1..)?).ok().map(str::to_owned);
    Some(Table {
        root: if has_root { Some(root(bytes.get(10..42)?)?) } else { None },
        form: Form {
            key_bytes: width(42)?,
            value_bytes: width(47)?,
            key_type: name(key_type)?,
            value_type: name(value_type)?,
        },
    })
}

fn is_whole(content: &[u8], checksum: Option<u128>) -> bool {
    checksum.is_none_or(|checksum| XxHash3_128::oneshot(content) == checksum)
}

/// A page with rows.
struct Leaf<'a> {
    bytes: &'a [u8],
    count: usize,
    keys: Column,
    values: Column,
    /// Where the content ends.
    end: usize,
}

/// Where the keys, or the values, of a leaf are.
#[derive(Clone, Copy)]
struct Column {
    /// Where the first one begins.
    start: usize,
    /// How long each is, or where the list of their ends begins.
    width: Result<usize, usize>,
}

impl<'a> Leaf<'a> {
    fn parse(bytes: &'a [u8], key: Option<usize>, value: Option<usize>) -> Option<Self> {
        if *bytes.first()? != LEAF {
            return None;
        }
        let count = u16_at(bytes, 2)?;
        let lists = usize::from(key.is_none()) + usize::from(value.is_none());
        let keys = Column { start: 4 + 4 * count * lists, width: key.ok_or(4) };
        let values_list = 4 + 4 * count * usize::from(key.is_none());
        let last = count.checked_sub(1)?;
        let keys_end = keys.end_of(bytes, last)?;
        let values = Column { start: keys_end, width: value.ok_or(values_list) };
        let end = values.end_of(bytes, last)?;
        let leaf = Self { bytes, count, keys, values, end };
        leaf.is_in_order().then_some(leaf)
    }

    /// Whether every part is where the one before ends, so that each can be cut out.
    fn is_in_order(&self) -> bool {
        let ascends = |column: Column| {
            let mut before = column.start;
            (0..self.count).all(|place| {
                let end = column.end_of(self.bytes, place);
                let is_right = end.is_some_and(|end| before <= end && end <= self.bytes.len());
                before = end.unwrap_or(before);
                is_right
            })
        };
        self.keys.start <= self.bytes.len() && ascends(self.keys) && ascends(self.values)
    }

    fn pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let part = |column: Column, place: usize| {
            let start = match place.checked_sub(1) {
                Some(before) => column.end_of(self.bytes, before)?,
                None => column.start,
            };
            self.bytes.get(start..column.end_of(self.bytes, place)?)
        };
        (0..self.count)
            .filter_map(move |place| Some((part(self.keys, place)?, part(self.values, place)?)))
    }
}

impl Column {
    fn end_of(self, bytes: &[u8], place: usize) -> Option<usize> {
        match self.width {
            Ok(width) => width.checked_mul(place + 1)?.checked_add(self.start),
            Err(list) => u32_at(bytes, list + 4 * place),
        }
    }
}

/// Where the content of a branch ends, and its children with their checksums, in order.
fn children(bytes: &[u8], key_bytes: Option<usize>) -> Option<(usize, Vec<(PageNumber, u128)>)> {
    let keys = u16_at(bytes, 2)?;
    let count = keys + 1;
    let numbers = 8 + CHECKSUM_BYTES * count;
    let after = numbers + 8 * count;
    let end = match key_bytes {
        Some(width) => after.checked_add(width.checked_mul(keys)?)?,
        None => u32_at(bytes, after + 4 * keys.checked_sub(1)?)?,
    };
    if keys == 0 || end < after || end > bytes.len() {
        return None;
    }
    let child = |place: usize| {
        let checksum = bytes.get(8 + CHECKSUM_BYTES * place..)?.first_chunk()?;
        let number = bytes.get(numbers + 8 * place..)?.first_chunk()?;
        Some((PageNumber::from(*number), u128::from_le_bytes(*checksum)))
    };
    let children: Option<Vec<_>> = (0..count).map(child).collect();
    Some((end, children?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

const PAGE_BYTES: u64 = 4096;
/// The pages of a file are numbered in regions of so many bytes.
const REGION_BYTES: u64 = 4 << 30;
const INDEX_MASK: u64 = 0xf_ffff;
const REGION_SHIFT: u32 = 20;
const ORDER_SHIFT: u32 = 59;
const ORDER_MAX: u64 = 20;

const HEAD_BYTES: usize = 320;
const FLAGS: usize = 9;
const FLAG_INTERRUPTED: u8 = 2;
const SLOTS: [usize; 2] = [64, 192];
const SLOT_BYTES: usize = 128;
const SLOT_ROOT: usize = 8;
const SLOT_NUMBER: usize = 104;
const CHECKSUM_BYTES: usize = 16;

const LEAF: u8 = 1;
const BRANCH: u8 = 2;
const NORMAL_TABLE: u8 = 3;
/// No tree is as high; a chain of pages that a damaged one begins ends here.
const DEPTH_MAX: u32 = 64;
/// So many lists of tables are looked at in a file whose head is gone.
const LISTS_MAX: usize = 64;
