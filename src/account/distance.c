/* How far apart regions are. See distance.h.
 *
 * Places are those of the cities that the service followed names for its regions, to about 50 km: a
 * limit of 8,000 km asks for no more. */
#include "account/distance.h"

#include <math.h>

#include "base/contract.h"

enum { FIBRE_KM_PER_MS = 200 };

struct place_on_earth {
    const char *name; /* as compared: lower case, without blanks */
    double north, east;
};

static const struct place_on_earth places[] = {
    {"australiacentral", -35.3, 149.1},
    {"australiacentral2", -35.3, 149.1},
    {"australiaeast", -33.9, 151.2},
    {"australiasoutheast", -37.8, 145.0},
    {"austriaeast", 48.2, 16.4},
    {"brazilsouth", -23.6, -46.6},
    {"brazilsoutheast", -22.9, -43.2},
    {"canadacentral", 43.7, -79.4},
    {"canadaeast", 46.8, -71.2},
    {"centralindia", 18.6, 73.9},
    {"centralus", 41.6, -93.6},
    {"chilecentral", -33.4, -70.7},
    {"eastasia", 22.3, 114.2},
    {"eastus", 37.4, -79.8},
    {"eastus2", 36.7, -78.4},
    {"francecentral", 46.4, 2.4},
    {"francesouth", 43.8, 2.2},
    {"germanynorth", 53.1, 8.8},
    {"germanywestcentral", 50.1, 8.7},
    {"indonesiacentral", -6.2, 106.8},
    {"israelcentral", 31.3, 33.5},
    {"italynorth", 45.5, 9.2},
    {"japaneast", 35.7, 139.8},
    {"japanwest", 34.7, 135.5},
    {"jioindiacentral", 21.1, 79.1},
    {"jioindiawest", 22.5, 70.1},
    {"koreacentral", 37.6, 127.0},
    {"koreasouth", 35.2, 129.1},
    {"malaysiawest", 3.1, 101.7},
    {"mexicocentral", 20.6, -100.4},
    {"newzealandnorth", -36.8, 174.8},
    {"northcentralus", 41.9, -87.6},
    {"northeurope", 53.3, -6.3},
    {"norwayeast", 59.9, 10.8},
    {"norwaywest", 59.0, 5.7},
    {"polandcentral", 52.2, 21.0},
    {"qatarcentral", 25.6, 51.4},
    {"southafricanorth", -25.7, 28.2},
    {"southafricawest", -34.1, 18.8},
    {"southcentralus", 29.4, -98.5},
    {"southeastasia", 1.3, 103.8},
    {"southindia", 13.0, 80.2},
    {"spaincentral", 40.4, -3.7},
    {"swedencentral", 60.7, 17.1},
    {"swedensouth", 55.6, 13.0},
    {"switzerlandnorth", 47.5, 8.6},
    {"switzerlandwest", 46.2, 6.1},
    {"uaecentral", 24.5, 54.4},
    {"uaenorth", 25.3, 55.3},
    {"uksouth", 50.9, -0.8},
    {"ukwest", 53.4, -3.1},
    {"westcentralus", 40.9, -110.2},
    {"westeurope", 52.4, 4.9},
    {"westindia", 19.1, 72.9},
    {"westus", 37.8, -122.4},
    {"westus2", 47.2, -119.9},
    {"westus3", 33.4, -112.1},
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_named(struct str name, const char *as)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == ' ') {
            continue;
        }
        if (lower(name.p[i]) != *as) {
            return false;
        }
        as++;
    }
    return *as == 0;
}

static const struct place_on_earth *find(struct str name)
{
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        if (is_named(name, places[i].name)) {
            return &places[i];
        }
    }
    return NULL;
}

static double haversine(double angle)
{
    double s = sin(angle / 2);
    return s * s;
}

unsigned distance_km(struct str a, struct str b)
{
    static const double radius_km = 6371;
    static const double radians = 3.14159265358979323846 / 180;
    const struct place_on_earth *x = find(a);
    const struct place_on_earth *y = find(b);
    if (x == NULL || y == NULL) {
        return 0;
    }
    double h = haversine((y->north - x->north) * radians) +
               cos(x->north * radians) * cos(y->north * radians) *
                   haversine((y->east - x->east) * radians);
    return (unsigned)(2 * radius_km * asin(sqrt(h < 1 ? h : 1)));
}

unsigned distance_largest(const struct account_record *rec, struct str also, const char **ret_a,
                          const char **ret_b)
{
    unsigned largest = 0;
    for (size_t i = 0; i < rec->region_count; i++) {
        const char *one = rec->regions[i].name;
        unsigned km = distance_km(str_of(one), also);
        if (km > largest) {
            largest = km;
            *ret_a = one;
            *ret_b = NULL;
        }
        for (size_t k = i + 1; k < rec->region_count; k++) {
            km = distance_km(str_of(one), str_of(rec->regions[k].name));
            if (km > largest) {
                largest = km;
                *ret_a = one;
                *ret_b = rec->regions[k].name;
            }
        }
    }
    return largest;
}

enum err distance_check(const struct account_record *rec, enum consistency level, struct str also,
                        struct errinfo *ei)
{
    const char *a = NULL;
    const char *b = NULL;
    unsigned km = level == CONSISTENCY_STRONG ? distance_largest(rec, also, &a, &b) : 0;
    if (km <= DISTANCE_STRONG_MAX_KM) {
        return OK;
    }
    struct str other = b != NULL ? str_of(b) : also;
    err_set(ei, ERR_INVALID,
            "regions %s and " STR_FMT
            " are about %u km apart: at Strong each write would wait for a round "
            "trip, %u ms at least",
            a, STR_ARG(other), km, km / FIBRE_KM_PER_MS * 2);
    err_hint(ei, "repeat it with --force (holdfast account) if that is what you want");
    return ERR_INVALID;
}
