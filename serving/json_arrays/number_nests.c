/* Long lists of numbers in JSON text -> numbers in memory, in one pass: what number_nests.py calls.

       {"instances": [[0.5, 1], [2, 3e1]], "id": "7"}
           numbers 0.5 1 2 30, of shape (2, 2), and the rest of the text: {"instances": "MARK00000000", "id": "7"}

   A nest is a regular one of lists, the innermost of which hold numbers. Whatever is in doubt is Python's: a nest that is
   irregular, short, or holds anything else stays in the rest as it was, and a number of which these few lines cannot tell the
   nearest double for sure is noted among the doubts. Nothing here allocates, keeps anything, or knows of Python, so that it
   runs beside other threads. Nothing is read before `text` or from `text + size` on, nothing written beyond what it is given. */

#include <float.h>
#include <stddef.h>
#include <stdint.h>

#define MOST_LISTS 32    /* within each other: MAX_DEPTH of values.py */
#define MOST_AROUND 512  /* lists and objects around a nest: with too many, a text is broken to who reads the rest */
#define MARK_DIGITS 8    /* of a nest's number behind the mark */
#define HEADER 3         /* what stands before the sizes of a nest in `found`: its first number, whole or not, rank */
#define DOUBT 3          /* of a doubt: place among the numbers, start and end in the text */
#define LOWEST_POWER (-342)
#define HIGHEST_POWER 308
#define MOST_DIGITS 19   /* that 64 bits hold, whatever they are */

typedef unsigned __int128 wide;
typedef const uint8_t *place;

typedef struct {
    place text, end;
    const uint64_t (*powers)[2]; /* 10^q as 128 bits of which the first is set, rounded down: upper half, lower half */
    double *numbers;
    int64_t count, most_numbers;
    int64_t *doubts;
    int64_t doubt_count, most_doubts;
    place reached;               /* where the last nest was seen to be none */
} reader;

static int is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

static place skip_blanks(place at, place end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    return at;
}

static const uint64_t WHOLE_TENS[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

/* Appends the digits at `at`, eight at most, to a number, and tells how many there were. Eight bytes have to be there.

   All at once, because where a number ends is what a processor cannot foresee: pairs of digits first, in every second byte,
   then the four pairs by two multiplications. */
static inline int append_eight(place at, uint64_t *number) {
    uint64_t d;
    __builtin_memcpy(&d, at, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    d = __builtin_bswap64(d);
#endif
    d ^= 0x3030303030303030u; /* digits are 0 to 9 now, all else is more */
    uint64_t others = ((d + 0x7676767676767676u) | d) & 0x8080808080808080u; /* right up to the first one */
    int count = others ? __builtin_ctzll(others) >> 3 : 8;
    if (!count) return 0;
    d <<= 64 - 8 * count; /* as if zeros stood before them */
    d = d * 10 + (d >> 8);
    uint64_t outer = (d & 0x000000FF000000FFu) * (100 + (UINT64_C(1000000) << 32));
    uint64_t inner = ((d >> 16) & 0x000000FF000000FFu) * (1 + (UINT64_C(10000) << 32));
    *number = *number * WHOLE_TENS[count] + ((outer + inner) >> 32);
    return count;
}

/* Appends all digits at `at` to a number, and tells where they end. Beyond 19 digits the number is wrong. */
static inline place append_digits(place at, place end, uint64_t *number) {
    while (end - at >= 8) {
        int count = append_eight(at, number);
        at += count;
        if (count < 8) return at;
    }
    while (at < end && is_digit(*at)) *number = *number * 10 + (uint64_t)(*at++ - '0');
    return at;
}

/* The double nearest to mantissa * 10^power; 0 where these lines cannot tell it. mantissa > 0.

   The product of the mantissa with the power's 128 bits, cut to its upper 128, is not more than the true one, and less than 2
   below it: one for what the power lost, one for the cut. So it is certain which way to round, unless the bits that rounding
   cuts off are half of the last one that stays, or less than 2 below that. */
static int nearest(uint64_t mantissa, int64_t power, const uint64_t (*powers)[2], uint64_t *bits) {
    if (power < LOWEST_POWER || power > HIGHEST_POWER) return 0;
    const uint64_t *of_power = powers[power - LOWEST_POWER];
    int zeros = __builtin_clzll(mantissa);
    mantissa <<= zeros;
    wide product = (wide)mantissa * of_power[0] + (((wide)mantissa * of_power[1]) >> 64);
    int upper = (int)(product >> 127);
    int cut = 74 + upper; /* 53 bits stay */
    uint64_t kept = (uint64_t)(product >> cut);
    wide left = product & (((wide)1 << cut) - 1), half = (wide)1 << (cut - 1);
    if (left <= half && left + 2 > half) return 0;
    kept += left > half;
    /* 217706 / 2^16 is log2(10), near enough that for these powers the whole part is right. */
    int64_t exponent = 1086 + upper - zeros + ((power * 217706) >> 16);
    if (kept >> 53) {
        kept >>= 1;
        exponent++;
    }
    if (exponent < 1 || exponent > 2046) return 0; /* less than the smallest normal one, or infinity */
    *bits = ((uint64_t)exponent << 52) | (kept & ((UINT64_C(1) << 52) - 1));
    return 1;
}

static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* mantissa * 10^power, of so many digits, with its sign; 0 where it is not certain. */
static inline int to_double(const reader *r, uint64_t mantissa, int64_t digits, int64_t power, int negative, double *value) {
    uint64_t bits = 0;
    if (digits > MOST_DIGITS) return 0;
    if (FLT_EVAL_METHOD == 0 && mantissa >> 53 == 0 && power >= -22 && power <= 22) {
        double whole = (double)mantissa; /* it and the power of ten are exact: one rounding is all there is */
        *value = power < 0 ? whole / TENS[-power] : whole * TENS[power];
        if (negative) *value = -*value;
        return 1;
    }
    if (mantissa && !nearest(mantissa, power, r->powers, &bits)) return 0;
    bits |= (uint64_t)negative << 63;
    __builtin_memcpy(value, &bits, 8);
    return 1;
}

static void to_doubles(double *numbers, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        int64_t whole;
        __builtin_memcpy(&whole, &numbers[i], 8);
        numbers[i] = (double)whole;
    }
}

/* Reads one number by JSON's grammar into the next place, and tells where it ends; NULL where there is none, or no room.

   first: where the numbers of the nest begin. whole: whether all so far are whole; they are int64 until one is not. */
static inline place read_number(reader *r, place at, int64_t first, int *whole) {
    place start = at, end = r->end;
    int negative = at < end && *at == '-';
    at += negative;
    if (at == end || !is_digit(*at) || r->count == r->most_numbers) return NULL;
    uint64_t mantissa = 0;
    int64_t digits = 0, power = 0;
    place before = at;
    if (*at == '0') {
        at++;
        if (at < end && is_digit(*at)) return NULL;
    } else {
        at = append_digits(at, end, &mantissa);
        digits = at - before;
    }
    int is_whole = 1;
    if (at < end && *at == '.') {
        is_whole = 0;
        place point = at++;
        if (!digits)
            while (at < end && *at == '0') at++;
        before = at;
        at = append_digits(at, end, &mantissa);
        if (at == point + 1) return NULL;
        digits += at - before;
        power = point + 1 - at;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        is_whole = 0;
        at++;
        int minus = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+')) at++;
        if (at == end || !is_digit(*at)) return NULL;
        int64_t exponent = 0;
        for (; at < end && is_digit(*at); at++)
            if (exponent < 100000) exponent = exponent * 10 + (*at - '0');
        power += minus ? -exponent : exponent;
    }
    double value = 0;
    if (is_whole) {
        if (digits > MOST_DIGITS || mantissa > (uint64_t)INT64_MAX + (uint64_t)negative) return NULL;
        int64_t number = (int64_t)(negative ? 0 - mantissa : mantissa);
        if (*whole)
            __builtin_memcpy(&value, &number, 8);
        else
            value = (double)number;
    } else {
        if (*whole) {
            to_doubles(r->numbers + first, r->count - first);
            *whole = 0;
        }
        if (!to_double(r, mantissa, digits, power, negative, &value)) {
            if (r->doubt_count == r->most_doubts) return NULL;
            int64_t *doubt = r->doubts + DOUBT * r->doubt_count++;
            doubt[0] = r->count;
            doubt[1] = start - r->text;
            doubt[2] = at - r->text;
        }
    }
    r->numbers[r->count++] = value;
    return at;
}

/* Reads the nest that begins at `at`, where a [ is, and tells where it ends; NULL where there is none.

   flat: whether only a single list will do. sizes: of MOST_LISTS, becomes its shape, of which `rank` tells the length. */
static place read_nest(reader *r, place at, int flat, int64_t *sizes, int *rank, int *whole) {
    place end = r->end;
    int64_t seen[MOST_LISTS], first = r->count;
    int depth = 0, deepest = 0; /* deepest: 0 until the first number tells */
    *whole = 1;
    for (;;) { /* where a value begins */
        if (at < end && *at == '[') {
            if (depth == MOST_LISTS || (deepest && depth == deepest) || (flat && depth)) break;
            if (!deepest) sizes[depth] = -1; /* what its first list will tell */
            seen[depth++] = 0;
            at = skip_blanks(at + 1, end);
            continue;
        }
        if (!deepest) deepest = depth;
        if (depth != deepest) break;
        place behind = read_number(r, at, first, whole);
        if (!behind) break;
        at = behind;
        for (;;) { /* behind a value */
            seen[depth - 1]++;
            if (at < end && *at <= ' ') at = skip_blanks(at, end);
            if (at == end || *at != ']') break;
            at++;
            depth--;
            if (sizes[depth] < 0) sizes[depth] = seen[depth];
            if (sizes[depth] != seen[depth]) goto none;
            if (!depth) {
                *rank = deepest;
                return at;
            }
        }
        if (at == end || *at != ',') break;
        at++;
        if (at < end && *at <= ' ') at = skip_blanks(at, end);
    }
none:
    r->reached = at;
    return NULL;
}

/* Reads the nests of at least so many numbers, and tells how many there are; -1 where the mark could stand for something else.

   numbers: room for size / 2 + 1. found: for each nest HEADER values, then its shape; when it or `doubts` is full, what is left
   stays in the rest. rest: room for size bytes, the text with a string in the place of each nest: the mark, of at most
   2 * least - MARK_DIGITS - 2 bytes, and the nest's number. rest_size: in `sizes[0]`; doubts in `sizes[1]`. */
int64_t signet_number_nests(const uint8_t *text, int64_t size, const uint64_t (*powers)[2], int64_t least, double *numbers,
                            int64_t *found, int64_t most_found, int64_t *doubts, int64_t most_doubts, const uint8_t *mark,
                            int64_t mark_size, uint8_t *rest, int64_t *sizes) {
    reader r = {text, text + size, powers, numbers, 0, size / 2 + 1, doubts, 0, most_doubts, text};
    place at = text, end = text + size, copied = text, flat_until = text;
    uint8_t *to = rest;
    int64_t nests = 0, used = 0, level = 0;
    while (at < end) {
        if (*at == '"') { /* a string, in which a backslash takes the next byte with it */
            for (at++; at < end && *at != '"'; at++)
                if (*at == '\\' && at + 1 < end) at++;
            at = at < end ? at + 1 : end;
            continue;
        }
        if (*at != '[') {
            level += (*at == '{') - (*at == '}' || *at == ']');
            at++;
            continue;
        }
        if (used + HEADER + MOST_LISTS > most_found || level > MOST_AROUND) break;
        int64_t first = r.count, doubted = r.doubt_count, *nest = found + used;
        int rank = 0, whole = 0, flat = at < flat_until;
        place behind = read_nest(&r, at, flat, nest + HEADER, &rank, &whole);
        if (behind && r.count - first >= least) {
            place next = skip_blanks(behind, end);
            if (next < end && *next == ':') return -1; /* a list is no name, and a string is */
            nest[0] = first;
            nest[1] = whole;
            nest[2] = rank;
            used += HEADER + rank;
            __builtin_memcpy(to, copied, (size_t)(at - copied));
            to += at - copied;
            *to++ = '"';
            __builtin_memcpy(to, mark, (size_t)mark_size);
            to += mark_size;
            for (int shift = 4 * (MARK_DIGITS - 1); shift >= 0; shift -= 4) *to++ = (uint8_t)"0123456789abcdef"[(nests >> shift) & 15];
            *to++ = '"';
            nests++;
            copied = at = behind;
            continue;
        }
        r.count = first;
        r.doubt_count = doubted;
        if (behind) { /* too short, and so are the lists in it */
            at = behind;
            continue;
        }
        /* Single lists in it may be long. Each byte is read as part of a nest at most twice, whatever the lists are. */
        if (!flat) flat_until = r.reached;
        level++;
        at++;
    }
    __builtin_memcpy(to, copied, (size_t)(end - copied));
    to += end - copied;
    sizes[0] = to - rest;
    sizes[1] = r.doubt_count;
    return nests;
}
