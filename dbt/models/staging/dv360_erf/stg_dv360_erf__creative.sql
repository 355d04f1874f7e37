with

source as (

    select * from {{ source('dv360_erf', 'creative') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        common_data.id as creative_id,
        advertiser_id,
        dcm_placement_id as cm_placement_id,

        -- attributes
        {{ text('common_data.name') }} as creative_name,
        common_data.active as is_active,
        {{ text('common_data.integration_code') }} as integration_code,
        width_pixels,
        height_pixels,
        expanding_direction as expanding_direction_code,
        creative_type as creative_type_code,

        -- records and lists, as they came
        approval_status,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
