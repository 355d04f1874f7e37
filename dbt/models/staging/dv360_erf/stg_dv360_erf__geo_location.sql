with

source as (

    select * from {{ source('dv360_erf', 'geo_location') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as geo_location_id,

        -- attributes
        {{ text('country_code') }} as country_code,
        {{ text('region_code') }} as region_code,
        {{ text('city_name') }} as city_name,
        {{ text('postal_code') }} as postal_code,
        dma_code,
        {{ text('canonical_name') }} as canonical_name,
        {{ text('geo_name') }} as geo_name,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
